#include "model/kernels/cpu_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "model/kernels/cpu_clones.h"
#include "model/kernels/instruction_set.h"
#include "model/kernels/kernel_attributes.h"
#include "model/kernels/panel_product.h"
#include "model/kernels/scratch.h"
#include "model/kernels/shares.h"
#include "model/kernels/tile_linear.h"

// Everything that passes vectors is inlined, so that no call's ABI depends on the instruction set; and g++ 12
// takes what its own AVX-512 intrinsics leave undefined on purpose for a mistake (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace safetylock {
namespace {

template <typename T>
struct Product {
  const float* x;   // [rows, in]
  const T* weight;  // [out, in]
  const T* bias;    // [out] or null
  T* y;             // [rows, out]
  std::int64_t rows, in, out;
};

using Four = float __attribute__((vector_size(16)));
using FourBits = std::uint32_t __attribute__((vector_size(16)));
using FourHalves = std::uint16_t __attribute__((vector_size(8)));
using Eight = float __attribute__((vector_size(32)));

namespace portable {
#define SAFETYLOCK_ATTRIBUTES
using Lanes = Eight;
constexpr int kLanes = 8, kTileRows = 2;
template <typename T>
SAFETYLOCK_KERNEL void load(const T* from, Lanes& out) {
  for (int i = 0; i < kLanes; ++i) out[i] = widened(from[i]);
}
#include "model/kernels/cpu_linear_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
#define SAFETYLOCK_ATTRIBUTES SAFETYLOCK_FOR_AVX2
using Lanes = Eight;
constexpr int kLanes = 8, kTileRows = 3;
SAFETYLOCK_KERNEL void load(const float* from, Lanes& out) {
  out = _mm256_loadu_ps(from);
}
SAFETYLOCK_KERNEL void load(const at::BFloat16* from, Lanes& out) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  out = _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
SAFETYLOCK_KERNEL void load(const at::Half* from, Lanes& out) {
  out = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
#include "model/kernels/cpu_linear_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace avx2

namespace avx512 {
#define SAFETYLOCK_ATTRIBUTES SAFETYLOCK_FOR_AVX512
using Lanes = float __attribute__((vector_size(64)));
constexpr int kLanes = 16, kTileRows = 6;
SAFETYLOCK_KERNEL void load(const float* from, Lanes& out) {
  out = _mm512_loadu_ps(from);
}
SAFETYLOCK_KERNEL void load(const at::BFloat16* from, Lanes& out) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  out = _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
SAFETYLOCK_KERNEL void load(const at::Half* from, Lanes& out) {
  out = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
#include "model/kernels/cpu_linear_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace avx512
#endif

template <typename T>
using Columns = void (*)(const Product<T>&, std::int64_t begin, std::int64_t end);

template <typename T>
Columns<T> columns_of(InstructionSet set) {
#if defined(__x86_64__)
  if (set >= InstructionSet::avx512) return avx512::columns<T>;
  if (set == InstructionSet::avx2) return avx2::columns<T>;
#endif
  return portable::columns<T>;
}

/// Columns of y from `first` on.
template <typename T>
void multiply(InstructionSet set, const Product<T>& p, std::int64_t first) {
  const std::int64_t grain = std::max<std::int64_t>(1, kWorkPerThread / (8 * p.in * p.rows));
  at::parallel_for(0, (p.out - first + 7) / 8, grain, [&](std::int64_t begin, std::int64_t end) {
    columns_of<T>(set)(p, first + begin * 8, std::min(first + end * 8, p.out));
  });
}

/// As many columns of y as tiles make; 0 where they are not for this product.
std::int64_t multiply_tiles(InstructionSet set, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& y) {
  if (!is_for_tiles(set, x.scalar_type(), x.size(0), weight.size(1))) return 0;
  return tile_linear(product_on_tiles(x.contiguous(), {}, weight, bias, y));
}

template <typename T>
SAFETYLOCK_FOR_EACH_CPU void widen_part(const T* from, std::int64_t n, float* to) {
  widen(from, n, to);
}

at::Tensor in_float32(const at::Tensor& x) {
  if (x.scalar_type() == at::kFloat) return x.contiguous();
  const at::Tensor rows = x.contiguous(), wide = scratch(x.sizes(), x.options().dtype(at::kFloat));
  with_type(x.scalar_type(), [&]<typename T>() {
    const T* const from = rows.const_data_ptr<T>();
    float* const to = wide.mutable_data_ptr<float>();
    at::parallel_for(0, rows.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
      widen_part(from + begin, end - begin, to + begin);
    });
  });
  return wide;
}

/// Every column of y, for many rows.
void multiply_panels(InstructionSet set, const at::Tensor& x, const at::Tensor& weight,
                     const at::Tensor& bias, const at::Tensor& y) {
  const at::Tensor rows = x.contiguous();
  with_type(weight.scalar_type(), [&]<typename T>() {
    panel_linear<T>(set, {.x = rows.const_data_ptr<T>(),
                          .weight = weight.const_data_ptr<T>(),
                          .bias = bias.defined() ? bias.const_data_ptr<T>() : nullptr,
                          .y = y.mutable_data_ptr<T>(),
                          .rows = x.size(0),
                          .in = weight.size(1),
                          .out = weight.size(0)});
  });
}

at::Tensor run(InstructionSet set, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor y = scratch({x.size(0), weight.size(0)}, x.options());
  const std::int64_t done = multiply_tiles(set, x, weight, bias, y);
  if (done == y.size(1)) return y;
  if (done == 0 && x.size(0) >= kPanelsFrom) {
    multiply_panels(set, x, weight, bias, y);
    return y;
  }
  const at::Tensor wide = in_float32(x);
  with_type(weight.scalar_type(), [&]<typename T>() {
    multiply(set,
             Product<T>{.x = wide.const_data_ptr<float>(),
                        .weight = weight.const_data_ptr<T>(),
                        .bias = bias.defined() ? bias.const_data_ptr<T>() : nullptr,
                        .y = y.mutable_data_ptr<T>(),
                        .rows = x.size(0),
                        .in = weight.size(1),
                        .out = weight.size(0)},
             done);
  });
  return y;
}

}  // namespace

at::Tensor cpu_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return run(best_instruction_set(), x, weight, bias);
}

at::Tensor cpu_linear_with(InstructionSet set, const at::Tensor& x, const at::Tensor& weight,
                           const at::Tensor& bias) {
  return run(set, x, weight, bias);
}

}  // namespace safetylock
