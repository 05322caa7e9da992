// Which of the instruction sets that kernels are written for this processor has.
#pragma once

#include <vector>

namespace safetylock {

/// Each has those before it. "amx" is avx512 with matrix tiles for bfloat16, if the system lets this process
/// use them.
enum class InstructionSet { portable, avx2, avx512, amx };

const char* name_of(InstructionSet set);

/// The best that this host has.
InstructionSet best_instruction_set();
/// All that it has, best first.
std::vector<InstructionSet> host_instruction_sets();

}  // namespace safetylock
