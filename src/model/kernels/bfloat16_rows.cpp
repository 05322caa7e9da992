#include "model/kernels/bfloat16_rows.h"

#include <cmath>

#include "model/kernels/gated_lanes.h"
#include "model/kernels/instruction_set.h"

namespace safetylock {

#if defined(__x86_64__)
namespace {

constexpr std::int64_t kLanes = 16;

/// The first n of sixteen values, or all of them.
SAFETYLOCK_BFLOAT16_INLINE __mmask16 first_of(std::int64_t n) {
  return static_cast<__mmask16>(n < kLanes ? (1U << n) - 1 : 0xffffU);
}

SAFETYLOCK_BFLOAT16_INLINE __m512 load(const at::BFloat16* from, __mmask16 some) {
  return widened(_mm256_maskz_loadu_epi16(some, from));
}

SAFETYLOCK_BFLOAT16_INLINE void store(at::BFloat16* to, __mmask16 some, __m512 values) {
  _mm256_mask_storeu_epi16(to, some, std::bit_cast<__m256i>(_mm512_cvtneps_pbh(values)));
}

}  // namespace

bool has_bfloat16_rows() {
  static const bool has =
      best_instruction_set() >= InstructionSet::avx512 && __builtin_cpu_supports("avx512bf16");
  return has;
}

[[SAFETYLOCK_BFLOAT16_LANES]] void add_bfloat16_row(const at::BFloat16* x, const at::BFloat16* added,
                                                    at::BFloat16* sum, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 some = first_of(n - i);
    store(sum + i, some, load(x + i, some) + load(added + i, some));
  }
}

[[SAFETYLOCK_BFLOAT16_LANES]] void normalise_bfloat16_row(const at::BFloat16* x, const at::BFloat16* weight,
                                                          at::BFloat16* out, std::int64_t n, float eps,
                                                          bool unit_offset) {
  __m512 squares[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (std::int64_t i = 0; i < n; i += 2 * kLanes) {
    const __m512 a = load(x + i, first_of(n - i));
    squares[0] += a * a;
    if (i + kLanes >= n) break;
    const __m512 b = load(x + i + kLanes, first_of(n - i - kLanes));
    squares[1] += b * b;
  }
  const float mean = _mm512_reduce_add_ps(squares[0] + squares[1]) / static_cast<float>(n);
  const __m512 scale = _mm512_set1_ps(1.0F / std::sqrt(mean + eps));
  for (std::int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 some = first_of(n - i);
    const __m512 scaled = load(x + i, some) * scale, w = load(weight + i, some);
    store(out + i, some, unit_offset ? scaled * (1.0F + w) : as_bfloat16(scaled) * w);
  }
}

[[SAFETYLOCK_BFLOAT16_LANES]] void rotate_bfloat16_pairs(at::BFloat16* first, at::BFloat16* second,
                                                         const at::BFloat16* cos, const at::BFloat16* sin,
                                                         std::int64_t half) {
  for (std::int64_t i = 0; i < half; i += kLanes) {
    const __mmask16 some = first_of(half - i);
    const __m512 a = load(first + i, some), b = load(second + i, some);
    const __m512 c = load(cos + i, some), s = load(sin + i, some);
    store(first + i, some, as_bfloat16(a * c) - as_bfloat16(b * s));
    store(second + i, some, as_bfloat16(b * c) + as_bfloat16(a * s));
  }
}

[[SAFETYLOCK_BFLOAT16_LANES]] void gate_bfloat16_row(const at::BFloat16* gates, const at::BFloat16* ups,
                                                     at::BFloat16* out, std::int64_t n, bool gelu) {
  for (std::int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 some = first_of(n - i);
    const __m512 act = as_bfloat16(activated(load(gates + i, some), gelu));
    store(out + i, some, act * load(ups + i, some));
  }
}

#else

bool has_bfloat16_rows() {
  return false;
}

void add_bfloat16_row(const at::BFloat16*, const at::BFloat16*, at::BFloat16*, std::int64_t) {}
void normalise_bfloat16_row(const at::BFloat16*, const at::BFloat16*, at::BFloat16*, std::int64_t, float,
                            bool) {}
void rotate_bfloat16_pairs(at::BFloat16*, at::BFloat16*, const at::BFloat16*, const at::BFloat16*,
                           std::int64_t) {}
void gate_bfloat16_row(const at::BFloat16*, const at::BFloat16*, at::BFloat16*, std::int64_t, bool) {}

#endif

}  // namespace safetylock
