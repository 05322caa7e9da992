#include "pipeline/output_bias.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace safetylock {
namespace {

constexpr std::int64_t kProductsPerTask = 1'000'000;
constexpr std::int64_t kRowsAhead = 16;

// A head's columns are a short piece of each long row of W_o: the processor does not foresee the next piece
// by itself.
template <typename T>
void prefetch(const T* values, size_t count) {
  constexpr size_t kLine = 64;
  const char* bytes = reinterpret_cast<const char*>(values);
  for (size_t at = 0; at < count * sizeof(T); at += kLine) __builtin_prefetch(bytes + at);
}

template <typename T>
double product(const T* weights, const std::vector<double>& direction) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t j = 0; j < direction.size(); ++j) sum += static_cast<double>(weights[j]) * direction[j];
  return sum;
}

at::Tensor on_cpu(const at::Tensor& o_proj, const std::vector<HeadDirection>& heads) {
  const at::Tensor local = o_proj.contiguous();
  const std::int64_t columns = local.size(1);
  std::vector<std::vector<double>> directions;
  for (const HeadDirection& head : heads)
    directions.emplace_back(head.direction.begin(), head.direction.end());
  // Waking threads costs more than a small product.
  const auto row_products = static_cast<std::int64_t>(heads.size() * heads.front().direction.size());
  const std::int64_t rows_per_task = std::max<std::int64_t>(1, kProductsPerTask / row_products);
  at::Tensor bias = at::empty({local.size(0)}, at::kFloat);
  float* out = bias.mutable_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, local.scalar_type(), "output_bias", [&] {
    const scalar_t* weights = local.const_data_ptr<scalar_t>();
    at::parallel_for(0, local.size(0), rows_per_task, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t e = begin; e < end; ++e) {
        const scalar_t* row = weights + e * columns;
        const scalar_t* later = weights + std::min(e + kRowsAhead, end - 1) * columns;
        double sum = 0;
        for (size_t k = 0; k < heads.size(); ++k) {
          const std::int64_t column = heads[k].id.head * static_cast<std::int64_t>(directions[k].size());
          prefetch(later + column, directions[k].size());
          sum += static_cast<double>(heads[k].sigma) * product(row + column, directions[k]);
        }
        out[e] = static_cast<float>(sum);
      }
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
