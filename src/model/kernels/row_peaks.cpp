#include "model/kernels/row_peaks.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "model/kernels/cpu_clones.h"

namespace safetylock {
namespace {

/// Of a stretch of a row, which stays in the first-level cache between its two passes.
struct Stretch {
  float largest = -INFINITY, sum = 0;
};

SAFETYLOCK_FOR_EACH_CPU Stretch look_at(const float* values, std::int64_t n) {
  float largest = -INFINITY, sum = 0;
#pragma omp simd reduction(max : largest) reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    largest = values[i] > largest ? values[i] : largest;
    sum += values[i];
  }
  return {largest, sum};
}

RowPeak peak_of(const float* row, std::int64_t n) {
  constexpr std::int64_t kStretch = 4096;
  RowPeak peak;
  float largest = -INFINITY;
  double sum = 0;
  for (std::int64_t begin = 0; begin < n; begin += kStretch) {
    const std::int64_t here = std::min(kStretch, n - begin);
    const Stretch s = look_at(row + begin, here);
    sum += s.sum;
    if (!(s.largest > largest)) continue;
    largest = s.largest;
    peak.index = std::find(row + begin, row + begin + here, largest) - row;
  }
  peak.finite = std::isfinite(sum);
  return peak;
}

}  // namespace

void row_peaks(const at::Tensor& rows, std::vector<RowPeak>& peaks) {
  const std::int64_t N = rows.size(0), V = rows.size(1);
  peaks.resize(static_cast<size_t>(N));
  if (rows.is_cpu()) {
    const float* const values = rows.const_data_ptr<float>();
    at::parallel_for(0, N, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) peaks[static_cast<size_t>(i)] = peak_of(values + i * V, V);
    });
    return;
  }
  const at::Tensor best = rows.argmax(1).cpu(), sums = rows.sum(1).cpu();
  for (std::int64_t i = 0; i < N; ++i)
    peaks[static_cast<size_t>(i)] = {.index = best.const_data_ptr<std::int64_t>()[i],
                                     .finite = std::isfinite(sums.const_data_ptr<float>()[i])};
}

}  // namespace safetylock
