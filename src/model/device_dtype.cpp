#include "model/device_dtype.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include <charconv>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "model/kernels/instruction_set.h"
#include "safetylock/error.h"

namespace safetylock {

namespace {

struct CpuFeatures {
  bool amx_bf16 = false, avx512_bf16 = false, intel = false;
};

CpuFeatures cpu_features() {
  CpuFeatures features;
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) features.amx_bf16 = (edx & (1U << 22)) != 0;
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) features.avx512_bf16 = (eax & (1U << 5)) != 0;
  // "GenuineIntel" begins with "Genu" in ebx.
  if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) != 0) features.intel = ebx == 0x756e6547U;
#endif
  features.amx_bf16 = features.amx_bf16 && best_instruction_set() == InstructionSet::amx;
  features.avx512_bf16 = features.avx512_bf16 && best_instruction_set() >= InstructionSet::avx512;
  return features;
}

}  // namespace

bool cpu_has_bfloat16_arithmetic() {
  const CpuFeatures features = cpu_features();
  return features.amx_bf16 || features.avx512_bf16;
}

bool cpu_multiplies_bfloat16_fast() {
  const CpuFeatures features = cpu_features();
  return features.amx_bf16 || (features.avx512_bf16 && !features.intel);
}

at::Device parse_device(const std::string& text) {
  const int gpus = at::globalContext().hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  if (text == "cpu" || (text == "auto" && gpus == 0)) return at::Device(at::kCPU);
  int index = -1;
  if (text == "cuda" || text == "auto") index = 0;
  if (text.starts_with("cuda:")) {
    const char* end = text.data() + text.size();
    const auto [rest, failure] = std::from_chars(text.data() + 5, end, index);
    if (failure != std::errc() || rest != end) index = -1;
  }
  if (index < 0) {
    throw Error({.code = "arg.device",
                 .where = "device",
                 .expected = "auto, cpu, cuda or cuda:N",
                 .found = '"' + escape_untrusted(text) + '"'});
  }
  if (index >= gpus) {
    throw Error(
        {.code = "arg.device",
         .where = "device",
         .expected = "one of the " + std::to_string(gpus) + " CUDA devices that libtorch sees",
         .found = '"' + escape_untrusted(text) + '"',
         .hint = gpus == 0 ? "Use cpu, or build against a libtorch with CUDA and check the driver" : ""});
  }
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

at::ScalarType parse_dtype(const std::string& text, at::Device device) {
  if (text == "float32") return at::kFloat;
  if (text == "bfloat16") return at::kBFloat16;
  if (text == "float16") return at::kHalf;
  if (text == "auto") {
    return !device.is_cpu() || cpu_has_bfloat16_arithmetic() ? at::kBFloat16 : at::kFloat;
  }
  throw Error({.code = "arg.dtype",
               .where = "dtype",
               .expected = "auto, float32, bfloat16 or float16",
               .found = '"' + escape_untrusted(text) + '"'});
}

}  // namespace safetylock
