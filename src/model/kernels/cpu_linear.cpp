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
#include "model/kernels/lane_transpose.h"
#include "model/kernels/scratch.h"
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
  const float* tiles = nullptr;  // x again, for turned_columns: see make_tiles
  std::int64_t tile_rows = 0;
};

/// Depth of the weights that are turned at once: they stay in the second-level cache.
constexpr std::int64_t kTurnedDepth = 512;

using Four = float __attribute__((vector_size(16)));
using FourBits = std::uint32_t __attribute__((vector_size(16)));
using FourHalves = std::uint16_t __attribute__((vector_size(8)));
using Eight = float __attribute__((vector_size(32)));

#define SAFETYLOCK_KERNEL_ENTRY SAFETYLOCK_ATTRIBUTES
#define SAFETYLOCK_KERNEL SAFETYLOCK_ATTRIBUTES [[gnu::always_inline]] inline

namespace portable {
#define SAFETYLOCK_ATTRIBUTES
using Lanes = Eight;
constexpr int kLanes = 8, kTileRows = 2, kTurnedRows = 2;
template <typename T>
SAFETYLOCK_KERNEL void load(const T* from, Lanes& out) {
  for (int i = 0; i < kLanes; ++i) out[i] = widened(from[i]);
}
#include "model/kernels/cpu_linear_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
#define SAFETYLOCK_ATTRIBUTES [[gnu::target("avx2,fma,f16c")]]
using Lanes = Eight;
constexpr int kLanes = 8, kTileRows = 3, kTurnedRows = 5;
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
#define SAFETYLOCK_ATTRIBUTES \
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,prefer-vector-width=512")]]
using Lanes = float __attribute__((vector_size(64)));
constexpr int kLanes = 16, kTileRows = 6, kTurnedRows = 12;
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
struct Kernels {
  void (*columns)(const Product<T>&, std::int64_t, std::int64_t);
  void (*turned_columns)(const Product<T>&, std::int64_t, float*, float*);
  std::int64_t turned_width;  // columns that turned_columns makes
  std::int64_t turned_rows;   // rows that fill its registers
};

template <typename T>
Kernels<T> kernels_of(InstructionSet set) {
#if defined(__x86_64__)
  if (set >= InstructionSet::avx512)
    return {avx512::columns<T>, avx512::turned_columns<T>, 2 * avx512::kLanes, avx512::kTurnedRows};
  if (set == InstructionSet::avx2)
    return {avx2::columns<T>, avx2::turned_columns<T>, 2 * avx2::kLanes, avx2::kTurnedRows};
#endif
  return {portable::columns<T>, portable::turned_columns<T>, 2 * portable::kLanes, portable::kTurnedRows};
}

/// Multiplications below which handing work to another thread costs more than it saves.
constexpr std::int64_t kWorkPerThread = 1 << 17;
/// Rows from which on turning the weights pays.
constexpr std::int64_t kTurnFrom = 64;

std::int64_t grain(std::int64_t work_each) {
  return std::max<std::int64_t>(1, kWorkPerThread / work_each);
}

/// Rows whose sums and values of x stay in the second-level cache beside the turned weights.
constexpr std::int64_t kRowsAtOnce = 512;

/// x [rows, in] as tiles of up to `height` rows, each [in][its rows]: what a tile multiplies lies in a row.
void make_tiles(const float* x, std::int64_t rows, std::int64_t in, std::int64_t height,
                std::vector<float>& tiles) {
  tiles.resize(static_cast<size_t>(rows * in));
  at::parallel_for(
      0, (rows + height - 1) / height, grain(height * in), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t first = begin * height; first < std::min(end * height, rows); first += height) {
          const std::int64_t here = std::min(height, rows - first);
          float* to = tiles.data() + first * in;
          for (std::int64_t k = 0; k < in; ++k) {
            for (std::int64_t r = 0; r < here; ++r) *to++ = x[(first + r) * in + k];
          }
        }
      });
}

/// Columns of y from `first` on.
template <typename T>
void multiply(InstructionSet set, Product<T> p, std::int64_t first) {
  const Kernels<T> kernels = kernels_of<T>(set);
  const std::int64_t width = kernels.turned_width;
  const bool turns = p.rows >= kTurnFrom && p.in % (width / 2) == 0;
  const std::int64_t turned = turns ? (p.out - first) / width : 0, rest = first + turned * width;
  if (turned > 0) {
    static thread_local std::vector<float> tiles;  // kept, as a step asks for the same sizes again and again
    const std::int64_t number = (p.rows + kernels.turned_rows - 1) / kernels.turned_rows;
    p.tile_rows = (p.rows + number - 1) / number;
    make_tiles(p.x, p.rows, p.in, p.tile_rows, tiles);
    p.tiles = tiles.data();
  }
  at::parallel_for(0, turned, grain(width * p.in * p.rows), [&](std::int64_t begin, std::int64_t end) {
    static thread_local std::vector<float> scratch;
    scratch.resize(static_cast<size_t>((kTurnedDepth + p.rows) * width));
    for (std::int64_t group = begin; group < end; ++group)
      kernels.turned_columns(p, first + group * width, scratch.data(), scratch.data() + kTurnedDepth * width);
  });
  at::parallel_for(0, (p.out - rest + 7) / 8, grain(8 * p.in * p.rows),
                   [&](std::int64_t begin, std::int64_t end) {
                     kernels.columns(p, rest + begin * 8, std::min(rest + end * 8, p.out));
                   });
}

/// As many columns of y as tiles make; 0 where they are not for this product.
std::int64_t multiply_tiles(InstructionSet set, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& y) {
  if (set != InstructionSet::amx || x.scalar_type() != at::kBFloat16 || x.size(0) < kTilesFrom ||
      !fits_tiles(weight.size(1)))
    return 0;
  const at::Tensor rows = x.contiguous();
  return tile_linear({.x = rows.const_data_ptr<at::BFloat16>(),
                      .weight = weight.const_data_ptr<at::BFloat16>(),
                      .bias = bias.defined() ? bias.const_data_ptr<at::BFloat16>() : nullptr,
                      .y = y.mutable_data_ptr<at::BFloat16>(),
                      .rows = x.size(0),
                      .in = weight.size(1),
                      .out = weight.size(0)});
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

at::Tensor run(InstructionSet set, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor y = scratch({x.size(0), weight.size(0)}, x.options());
  const std::int64_t done = multiply_tiles(set, x, weight, bias, y);
  if (done == y.size(1)) return y;
  const at::Tensor wide = in_float32(x);
  with_type(weight.scalar_type(), [&]<typename T>() {
    for (std::int64_t row = 0; row < x.size(0); row += kRowsAtOnce) {
      multiply(set,
               Product<T>{.x = wide.const_data_ptr<float>() + row * weight.size(1),
                          .weight = weight.const_data_ptr<T>(),
                          .bias = bias.defined() ? bias.const_data_ptr<T>() : nullptr,
                          .y = y.mutable_data_ptr<T>() + row * weight.size(0),
                          .rows = std::min(kRowsAtOnce, x.size(0) - row),
                          .in = weight.size(1),
                          .out = weight.size(0)},
               done);
    }
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
