#include "model/kernels/instruction_set.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace safetylock {
namespace {

/// The system has to be asked for the tiles' state, once a process.
bool may_use_tiles() {
#if defined(__x86_64__) && defined(__linux__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned kBFloat16Tiles = 1U << 22, kTiles = 1U << 24;
  if ((edx & kBFloat16Tiles) == 0 || (edx & kTiles) == 0 || !__builtin_cpu_supports("avx512bf16"))
    return false;
  constexpr int kAskForState = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
#else
  return false;
#endif
}

InstructionSet find_best_of_host() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
    return InstructionSet::portable;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return InstructionSet::avx2;
  return may_use_tiles() ? InstructionSet::amx : InstructionSet::avx512;
#else
  return InstructionSet::portable;
#endif
}

InstructionSet best_of_host() {
  static const InstructionSet best = find_best_of_host();
  return best;
}

InstructionSet limit() {
  const char* const wish = std::getenv("ATEN_CPU_CAPABILITY");
  const std::string_view said = wish == nullptr ? "" : wish;
  if (said == "default") return InstructionSet::portable;
  if (said == "avx2") return InstructionSet::avx2;
  return said == "avx512" ? InstructionSet::avx512 : InstructionSet::amx;
}

}  // namespace

const char* name_of(InstructionSet set) {
  switch (set) {
    case InstructionSet::amx:
      return "amx";
    case InstructionSet::avx512:
      return "avx512";
    case InstructionSet::avx2:
      return "avx2";
    case InstructionSet::portable:
      break;
  }
  return "portable";
}

InstructionSet best_instruction_set() {
  static const InstructionSet best = std::min(best_of_host(), limit());
  return best;
}

std::vector<InstructionSet> host_instruction_sets() {
  std::vector<InstructionSet> found;
  for (const InstructionSet set :
       {InstructionSet::amx, InstructionSet::avx512, InstructionSet::avx2, InstructionSet::portable}) {
    if (set <= best_of_host()) found.push_back(set);
  }
  return found;
}

}  // namespace safetylock
