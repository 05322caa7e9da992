#include "model/torch_host.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <torch/headeronly/version.h>

#include "model/device_dtype.h"
#include "model/kernels/instruction_set.h"

namespace safetylock {

TorchHost read_torch_host() {
  const auto& cuda = at::detail::getCUDAHooks();
  TorchHost host{.version = TORCH_VERSION,
                 .cpu_kernels = at::get_cpu_capability(),
                 .own_kernels = name_of(best_instruction_set()),
                 .openmp = at::get_parallel_info().find("OpenMP") != std::string::npos,
                 .threads = at::get_num_threads(),
                 .cuda_built = cuda.hasCUDART(),
                 .cuda_version = {},
                 .devices = {},
                 .bfloat16_arithmetic = cpu_has_bfloat16_arithmetic()};
  if (!host.cuda_built) return host;
  host.cuda_version = cuda.versionCUDART();
  if (!at::globalContext().hasCUDA()) return host;
  at::globalContext().lazyInitDevice(at::kCUDA);
  for (int i = 0; i < cuda.deviceCount(); ++i) {
    const auto [free, total] = at::accelerator::getMemoryInfo(static_cast<c10::DeviceIndex>(i));
    host.devices.push_back({.total_bytes = total, .free_bytes = free});
  }
  return host;
}

}  // namespace safetylock
