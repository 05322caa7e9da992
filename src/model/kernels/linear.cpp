#include "model/kernels/linear.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "model/device_dtype.h"
#include "model/kernels/few_rows_linear.h"

namespace safetylock {
namespace {

/// Rows of a weight widened at once: a few MB, so that they stay in cache until they are multiplied.
constexpr std::int64_t kBlock = 512;

/// Below this many rows our own kernel reads the weights quicker than libtorch's products do.
bool is_few(const at::Tensor& x) {
  return x.size(0) < (x.scalar_type() == at::kFloat ? kFewRows : kWidenedRows);
}

bool widens(const at::Tensor& x) {
  static const bool slow = !cpu_multiplies_bfloat16_fast();
  return slow && x.scalar_type() == at::kBFloat16;
}

}  // namespace

at::Tensor widened_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::int64_t rows = x.size(0), in = x.size(1), out_features = weight.size(0);
  const at::Tensor wide_x = x.to(at::kFloat);
  at::Tensor out = at::empty({rows, out_features}, x.options());
  const std::int64_t largest = std::min(kBlock, out_features);
  const at::Tensor wide_weight = at::empty({largest, in}, wide_x.options());
  at::Tensor product = at::empty({rows, largest}, wide_x.options());
  for (std::int64_t first = 0; first < out_features; first += kBlock) {
    const std::int64_t block = std::min(kBlock, out_features - first);
    const at::Tensor w = wide_weight.narrow(0, 0, block);
    w.copy_(weight.narrow(0, first, block));
    if (block != product.size(1)) product = at::empty({rows, block}, wide_x.options());
    at::mm_out(product, wide_x, w.t());
    if (bias.defined()) product.add_(bias.narrow(0, first, block));
    out.narrow(1, first, block).copy_(product);
  }
  return out;
}

at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (x.is_cpu() && is_few(x)) return few_rows_linear(x, weight, bias, x.scalar_type());
  if (x.is_cpu() && widens(x)) return widened_linear(x, weight, bias);
  return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

}  // namespace safetylock
