// Residual addition, the lock's vector and the norm behind them in one kernel: what they read and write fits
// a block's part of the cache, and a decoding step of a small model waits for kernel launches, not for
// memory.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "model/kernels/cuda/residual_norm.h"

namespace safetylock::cuda {
namespace {

constexpr int kWarp = 32, kLargestBlock = 1024;

__device__ float widened(float v) {
  return v;
}
__device__ float widened(__nv_bfloat16 v) {
  return __bfloat162float(v);
}
__device__ float widened(__half v) {
  return __half2float(v);
}

template <typename T>
__device__ T rounded(float v);
template <>
__device__ float rounded<float>(float v) {
  return v;
}
template <>
__device__ __nv_bfloat16 rounded<__nv_bfloat16>(float v) {
  return __float2bfloat16(v);
}
template <>
__device__ __half rounded<__half>(float v) {
  return __float2half(v);
}

/// Values that are read and written as one.
template <typename T, int kCount>
struct alignas(kCount * sizeof(T)) Pack {
  T values[kCount];
};

__device__ float sum_of_block(float value) {
  __shared__ float sums[kLargestBlock / kWarp];
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffU, value, step);
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / kWarp; ++warp) total += sums[warp];
  return total;
}

/// A block a row. Each thread reads back in the second loop what it wrote itself in the first.
template <typename T, typename V, int kCount>
__global__ void residual_norm(const T* x, const T* attn_output, const V* vector, const float* strengths,
                              const T* weight, T* sum, T* normed, int packs, float eps, bool unit_offset) {
  using Values = Pack<T, kCount>;
  const std::int64_t row = blockIdx.x, begin = row * packs;
  const float strength = strengths == nullptr ? 1.0F : strengths[row];
  const bool locked = vector != nullptr && strength != 0.0F;
  float squares = 0;
  for (int p = threadIdx.x; p < packs; p += blockDim.x) {
    const Values a = reinterpret_cast<const Values*>(x)[begin + p];
    const Values o = reinterpret_cast<const Values*>(attn_output)[begin + p];
    Values h;
    for (int i = 0; i < kCount; ++i) {
      float value = widened(o.values[i]);
      if (locked)
        value = widened(rounded<T>(value + widened(rounded<T>(strength * widened(vector[p * kCount + i])))));
      h.values[i] = rounded<T>(widened(a.values[i]) + value);
      squares += widened(h.values[i]) * widened(h.values[i]);
    }
    reinterpret_cast<Values*>(sum)[begin + p] = h;
  }
  const float scale = rsqrtf(sum_of_block(squares) / static_cast<float>(packs * kCount) + eps);
  for (int p = threadIdx.x; p < packs; p += blockDim.x) {
    const Values h = reinterpret_cast<const Values*>(sum)[begin + p];
    const Values w = reinterpret_cast<const Values*>(weight)[p];
    Values out;
    for (int i = 0; i < kCount; ++i) {
      const float value = widened(h.values[i]) * scale;
      out.values[i] = unit_offset ? rounded<T>(value * (1.0F + widened(w.values[i])))
                                  : rounded<T>(widened(w.values[i]) * widened(rounded<T>(value)));
    }
    reinterpret_cast<Values*>(normed)[begin + p] = out;
  }
}

bool is_aligned(const ResidualNormCall& call, std::size_t bytes) {
  for (const void* pointer : {call.x, call.attn_output, call.weight, const_cast<const void*>(call.sum),
                              const_cast<const void*>(call.normed)}) {
    if (reinterpret_cast<std::uintptr_t>(pointer) % bytes != 0) return false;
  }
  return true;
}

template <typename T, typename V, int kCount>
void launch(const ResidualNormCall& c, cudaStream_t stream) {
  const int packs = static_cast<int>(c.columns / kCount);
  const int threads = std::min(kLargestBlock, (packs + kWarp - 1) / kWarp * kWarp);
  residual_norm<T, V, kCount><<<static_cast<unsigned>(c.rows), threads, 0, stream>>>(
      static_cast<const T*>(c.x), static_cast<const T*>(c.attn_output), static_cast<const V*>(c.vector),
      c.strengths, static_cast<const T*>(c.weight), static_cast<T*>(c.sum), static_cast<T*>(c.normed), packs,
      c.eps, c.unit_offset);
}

template <typename T, typename V>
void launch_for(const ResidualNormCall& call, cudaStream_t stream) {
  constexpr int kCount = 16 / sizeof(T);
  if (call.columns % kCount == 0 && is_aligned(call, 16)) {
    launch<T, V, kCount>(call, stream);
  } else {
    launch<T, V, 1>(call, stream);
  }
}

template <typename T>
void launch_for(const ResidualNormCall& call, cudaStream_t stream) {
  if (call.vector_is_float32) {
    launch_for<T, float>(call, stream);
  } else {
    launch_for<T, T>(call, stream);
  }
}

}  // namespace

cudaError_t launch_residual_norm(const ResidualNormCall& call, cudaStream_t stream) {
  if (call.rows == 0) return cudaSuccess;
  if (call.element == Element::float32) launch_for<float>(call, stream);
  if (call.element == Element::bfloat16) launch_for<__nv_bfloat16>(call, stream);
  if (call.element == Element::float16) launch_for<__half>(call, stream);
  return cudaGetLastError();
}

}  // namespace safetylock::cuda
