// The kernel of residual_norm.cu, for callers that a C++ compiler compiles.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace safetylock::cuda {

enum class Element { float32, bfloat16, float16 };

/// Rows of E values in `element`, contiguous, on one device. See add_and_norm.
struct ResidualNormCall {
  Element element;
  const void* x;
  const void* attn_output;
  const void* vector;      ///< [E], or null: nothing is added
  bool vector_is_float32;  ///< else in `element`
  const float* strengths;  ///< [N], or null: 1
  const void* weight;      ///< [E]
  void* sum;
  void* normed;
  std::int64_t rows, columns;
  float eps;
  bool unit_offset;
};

/// Puts the kernel on `stream`; what cudaGetLastError says afterwards.
cudaError_t launch_residual_norm(const ResidualNormCall& call, cudaStream_t stream);

}  // namespace safetylock::cuda
