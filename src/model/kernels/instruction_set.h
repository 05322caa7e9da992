// Which of the instruction sets that kernels are written for this processor has.
#pragma once

#include <vector>

namespace safetylock {

/// Each has those before it. "amx" is avx512 with matrix tiles for bfloat16, if the system lets this process
/// use them.
enum class InstructionSet { portable, avx2, avx512, amx };

const char* name_of(InstructionSet set);

/// The best that this host has, or as far as ATEN_CPU_CAPABILITY goes (default, avx2, avx512), by which
/// libtorch's kernels can be limited too. Read once.
InstructionSet best_instruction_set();
/// All that the host has, best first.
std::vector<InstructionSet> host_instruction_sets();

}  // namespace safetylock
