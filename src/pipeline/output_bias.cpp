#include "pipeline/output_bias.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "model/kernels/cpu_clones.h"

namespace safetylock {
namespace {

constexpr std::int64_t kProductsPerTask = 1'000'000;
constexpr std::int64_t kRowsAhead = 16;

/// Where a head's columns of W_o begin, and what they are multiplied by.
struct Strip {
  std::int64_t column;
  std::vector<double> direction;
  double sigma;
};

// A head's columns are a short piece of each long row of W_o: the processor does not foresee the next piece
// by itself.
template <typename T>
SAFETYLOCK_INLINE void prefetch(const T* values, size_t count) {
  constexpr size_t kLine = 64;
  const char* bytes = reinterpret_cast<const char*>(values);
  for (size_t at = 0; at < count * sizeof(T); at += kLine) __builtin_prefetch(bytes + at);
}

/// out[e] for rows [begin, end) of W_o.
template <typename T>
SAFETYLOCK_FOR_EACH_CPU void multiply_rows(const T* weights, std::int64_t columns,
                                           const std::vector<Strip>& strips, std::int64_t begin,
                                           std::int64_t end, float* out) {
  for (std::int64_t e = begin; e < end; ++e) {
    const T* row = weights + e * columns;
    const T* later = weights + std::min(e + kRowsAhead, end - 1) * columns;
    double total = 0;
    for (const Strip& strip : strips) {
      const size_t n = strip.direction.size();
      const double* direction = strip.direction.data();
      prefetch(later + strip.column, n);
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (size_t j = 0; j < n; ++j)
        sum += static_cast<double>(widened(row[static_cast<size_t>(strip.column) + j])) * direction[j];
      total += strip.sigma * sum;
    }
    out[e] = static_cast<float>(total);
  }
}

at::Tensor on_cpu(const at::Tensor& o_proj, const std::vector<HeadDirection>& heads) {
  const at::Tensor local = o_proj.contiguous();
  const std::int64_t columns = local.size(1);
  std::vector<Strip> strips;
  std::int64_t row_products = 0;
  for (const HeadDirection& head : heads) {
    const auto dim = static_cast<std::int64_t>(head.direction.size());
    strips.push_back({.column = head.id.head * dim,
                      .direction = {head.direction.begin(), head.direction.end()},
                      .sigma = static_cast<double>(head.sigma)});
    row_products += dim;
  }
  at::Tensor bias = at::empty({local.size(0)}, at::kFloat);
  with_type(local.scalar_type(), [&]<typename T>() {
    // Waking threads costs more than a small product.
    at::parallel_for(0, local.size(0), std::max<std::int64_t>(1, kProductsPerTask / row_products),
                     [&](std::int64_t begin, std::int64_t end) {
                       multiply_rows(local.const_data_ptr<T>(), columns, strips, begin, end,
                                     bias.mutable_data_ptr<float>());
                     });
  });
  return bias;
}

at::Tensor on_device(const at::Tensor& o_proj, const std::vector<HeadDirection>& heads) {
  const auto options = o_proj.options().dtype(at::kDouble);
  at::Tensor sum = at::zeros({o_proj.size(0)}, options);
  for (const HeadDirection& head : heads) {
    const auto dim = static_cast<std::int64_t>(head.direction.size());
    const at::Tensor direction =
        at::tensor(at::ArrayRef<float>(head.direction)).to(options.device(), at::kDouble);
    const at::Tensor columns = o_proj.narrow(1, head.id.head * dim, dim).to(at::kDouble);
    sum += at::mv(columns, direction) * static_cast<double>(head.sigma);
  }
  return sum.to(at::kFloat);
}

}  // namespace

at::Tensor output_bias(const at::Tensor& o_proj, const std::vector<HeadDirection>& heads) {
  return o_proj.is_cpu() ? on_cpu(o_proj, heads) : on_device(o_proj, heads);
}

}  // namespace safetylock
