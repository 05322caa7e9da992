#include "model/kernels/decode_attention.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "model/kernels/cpu_clones.h"
#include "model/kernels/scratch.h"

namespace safetylock {
namespace {

/// One request and one key/value head. Its R query heads share every key and value that is read.
template <typename T>
struct Group {
  const T* q;  // [R, D]
  const T* k;  // [length] rows of D, `stride` apart
  const T* v;  // as k
  T* out;      // [R, D]
  std::int64_t length, stride, R, D;
  ScoreRule rule;
  float* scratch;  // [(2R + 1) D + R * length]
};

SAFETYLOCK_INLINE float dot(const float* a, const float* b, std::int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// softmax in place.
SAFETYLOCK_INLINE void softmax(float* scores, std::int64_t n) {
  float largest = scores[0];
#pragma omp simd reduction(max : largest)
  for (std::int64_t t = 0; t < n; ++t) largest = scores[t] > largest ? scores[t] : largest;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t t = 0; t < n; ++t) {
    scores[t] = exp_of_nonpositive(scores[t] - largest);
    sum += scores[t];
  }
  for (std::int64_t t = 0; t < n; ++t) scores[t] /= sum;
}

template <typename T>
SAFETYLOCK_FOR_EACH_CPU void attend_group(const Group<T>& g) {
  float* const q = g.scratch;           // [R, D]
  float* const sums = q + g.R * g.D;    // [R, D]
  float* const row = sums + g.R * g.D;  // [D]
  float* const scores = row + g.D;      // [R, length]
  widen(g.q, g.R * g.D, q);
  for (std::int64_t t = 0; t < g.length; ++t) {
    widen(g.k + t * g.stride, g.D, row);
    for (std::int64_t r = 0; r < g.R; ++r)
      scores[r * g.length + t] = g.rule.scale * dot(q + r * g.D, row, g.D);
  }
  if (g.rule.softcap > 0) {
    for (std::int64_t i = 0; i < g.R * g.length; ++i)
      scores[i] = g.rule.softcap * std::tanh(scores[i] / g.rule.softcap);
  }
  for (std::int64_t r = 0; r < g.R; ++r) softmax(scores + r * g.length, g.length);
  std::fill_n(sums, g.R * g.D, 0.0F);
  for (std::int64_t t = 0; t < g.length; ++t) {
    widen(g.v + t * g.stride, g.D, row);
    for (std::int64_t r = 0; r < g.R; ++r) {
      const float weight = scores[r * g.length + t];
#pragma omp simd
      for (std::int64_t d = 0; d < g.D; ++d) sums[r * g.D + d] += weight * row[d];
    }
  }
  for (std::int64_t i = 0; i < g.R * g.D; ++i) g.out[i] = rounded<T>(sums[i]);
}

template <typename T>
void attend_all(const Heads& q, const at::Tensor& keys, const at::Tensor& values,
                const std::vector<KeyRange>& seen, ScoreRule rule, const at::Tensor& out) {
  const std::int64_t B = q.rows(), G = keys.size(2), D = keys.size(3), R = q.count() / G,
                     slot = keys.stride(0);
  std::int64_t longest = 0;
  for (const KeyRange& keys_seen : seen) longest = std::max(longest, keys_seen.end - keys_seen.begin);
  at::parallel_for(0, B * G, 1, [&](std::int64_t begin, std::int64_t end) {
    static thread_local std::vector<float> room;
    room.resize(static_cast<size_t>((2 * R + 1) * D + R * longest));
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t b = i / G, g = i % G;
      const KeyRange range = seen[static_cast<size_t>(b)];
      const std::int64_t first = b * slot + range.begin * G * D + g * D;
      attend_group(Group<T>{.q = q.data<T>() + b * q.stride() + g * R * D,
                            .k = keys.const_data_ptr<T>() + first,
                            .v = values.const_data_ptr<T>() + first,
                            .out = out.mutable_data_ptr<T>() + (b * G + g) * R * D,
                            .length = range.end - range.begin,
                            .stride = G * D,
                            .R = R,
                            .D = D,
                            .rule = rule,
                            .scratch = room.data()});
    }
  });
}

}  // namespace

at::Tensor decode_attention_cpu(const Heads& q, const at::Tensor& keys, const at::Tensor& values,
                                const std::vector<KeyRange>& seen, ScoreRule rule) {
  const at::Tensor out = scratch({q.rows(), q.count(), q.dim()}, q.options());
  with_type(q.dtype(), [&]<typename T>() { attend_all<T>(q, keys, values, seen, rule, out); });
  return out;
}

}  // namespace safetylock
