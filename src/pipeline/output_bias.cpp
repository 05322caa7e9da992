#include "pipeline/output_bias.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace safetylock {
namespace {

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
  at::Tensor bias = at::empty({local.size(0)}, at::kFloat);
  float* out = bias.mutable_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, local.scalar_type(), "output_bias", [&] {
    const scalar_t* weights = local.const_data_ptr<scalar_t>();
    at::parallel_for(0, local.size(0), 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t e = begin; e < end; ++e) {
        double sum = 0;
        for (size_t k = 0; k < heads.size(); ++k) {
          const std::int64_t column = heads[k].id.head * static_cast<std::int64_t>(directions[k].size());
          sum += static_cast<double>(heads[k].sigma) * product(weights + e * columns + column, directions[k]);
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
