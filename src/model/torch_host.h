// What libtorch, and the kernels beside it, make of this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace safetylock {

struct CudaDevice {
  std::uint64_t total_bytes, free_bytes;
};

struct TorchHost {
  std::string version;               ///< of libtorch's headers, which must be the library's
  std::string cpu_kernels;           ///< "AVX512", "AVX2", "DEFAULT" ...: what its own kernels use
  std::string own_kernels;           ///< "amx", "avx512", "avx2" or "portable": what this library's use
  bool openmp;                       ///< at::parallel_for runs in parallel
  std::int64_t threads;              ///< of one operation
  bool cuda_built;                   ///< the library has CUDA code
  std::optional<long> cuda_version;  ///< of the CUDA runtime, e.g. 13000
  std::vector<CudaDevice> devices;
  bool bfloat16_arithmetic;  ///< the CPU multiplies bfloat16 in hardware
};

TorchHost read_torch_host();

}  // namespace safetylock
