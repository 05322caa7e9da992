#include "model/kernels/bfloat16_rows.h"

#include <cmath>

#include "model/kernels/gated_lanes.h"
#include "model/kernels/instruction_set.h"

namespace safetylock {

#if defined(__x86_64__)
namespace {

constexpr std::int64_t kAtOnce = 32;

SAFETYLOCK_BFLOAT16_INLINE Apart load(const at::BFloat16* from, __mmask32 some) {
  return apart(_mm512_maskz_loadu_epi16(some, from));
}

SAFETYLOCK_BFLOAT16_INLINE void store(at::BFloat16* to, __mmask32 some, __m512 even, __m512 odd) {
  _mm512_mask_storeu_epi16(to, some, side_by_side(even, odd));
}

SAFETYLOCK_BFLOAT16_INLINE Apart rounded(__m512 even, __m512 odd) {
  return apart(side_by_side(even, odd));
}

}  // namespace

bool has_bfloat16_rows() {
  static const bool has =
      best_instruction_set() >= InstructionSet::avx512 && __builtin_cpu_supports("avx512bf16");
  return has;
}

[[SAFETYLOCK_BFLOAT16_LANES]] void add_bfloat16_row(const at::BFloat16* x, const at::BFloat16* added,
                                                    at::BFloat16* sum, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += kAtOnce) {
    const __mmask32 some = first_of_32(n - i);
    const Apart a = load(x + i, some), b = load(added + i, some);
    store(sum + i, some, a.even + b.even, a.odd + b.odd);
  }
}

[[SAFETYLOCK_BFLOAT16_LANES]] void normalise_bfloat16_row(const at::BFloat16* x, const at::BFloat16* weight,
                                                          at::BFloat16* out, std::int64_t n, float eps,
                                                          bool unit_offset) {
  Apart squares = apart(_mm512_setzero_si512());
  for (std::int64_t i = 0; i < n; i += kAtOnce) {
    const Apart a = load(x + i, first_of_32(n - i));
    squares.even += a.even * a.even;
    squares.odd += a.odd * a.odd;
  }
  const float mean = _mm512_reduce_add_ps(squares.even + squares.odd) / static_cast<float>(n);
  const __m512 scale = _mm512_set1_ps(1.0F / std::sqrt(mean + eps));
  for (std::int64_t i = 0; i < n; i += kAtOnce) {
    const __mmask32 some = first_of_32(n - i);
    const Apart a = load(x + i, some), w = load(weight + i, some);
    const __m512 even = a.even * scale, odd = a.odd * scale;
    if (unit_offset) {
      store(out + i, some, even * (1.0F + w.even), odd * (1.0F + w.odd));
    } else {
      const Apart scaled = rounded(even, odd);
      store(out + i, some, scaled.even * w.even, scaled.odd * w.odd);
    }
  }
}

[[SAFETYLOCK_BFLOAT16_LANES]] void rotate_bfloat16_pairs(at::BFloat16* first, at::BFloat16* second,
                                                         const at::BFloat16* cos, const at::BFloat16* sin,
                                                         std::int64_t half) {
  for (std::int64_t i = 0; i < half; i += kAtOnce) {
    const __mmask32 some = first_of_32(half - i);
    const Apart a = load(first + i, some), b = load(second + i, some);
    const Apart c = load(cos + i, some), s = load(sin + i, some);
    const Apart ac = rounded(a.even * c.even, a.odd * c.odd), bs = rounded(b.even * s.even, b.odd * s.odd);
    const Apart bc = rounded(b.even * c.even, b.odd * c.odd), as = rounded(a.even * s.even, a.odd * s.odd);
    store(first + i, some, ac.even - bs.even, ac.odd - bs.odd);
    store(second + i, some, bc.even + as.even, bc.odd + as.odd);
  }
}

[[SAFETYLOCK_BFLOAT16_LANES]] void gate_bfloat16_row(const at::BFloat16* gates, const at::BFloat16* ups,
                                                     at::BFloat16* out, std::int64_t n, bool gelu) {
  for (std::int64_t i = 0; i < n; i += kAtOnce) {
    const __mmask32 some = first_of_32(n - i);
    const Apart gate = load(gates + i, some), up = load(ups + i, some);
    const Apart act = rounded(activated(gate.even, gelu), activated(gate.odd, gelu));
    store(out + i, some, act.even * up.even, act.odd * up.odd);
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
