#include "model/kernels/linear.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

#include "model/device_dtype.h"
#include "model/kernels/cpu_linear.h"

namespace safetylock {
namespace {

/// Rows from which on libtorch's product is the quicker one for float32, and for bfloat16 where the processor
/// multiplies that faster than float32.
constexpr std::int64_t kManyFloatRows = 64, kManyBFloat16Rows = 96;

bool is_ours(const at::Tensor& x) {
  static const bool fast_bfloat16 = cpu_multiplies_bfloat16_fast();
  if (!x.is_cpu()) return false;
  if (x.scalar_type() == at::kFloat) return x.size(0) < kManyFloatRows;
  if (x.scalar_type() == at::kBFloat16) return !fast_bfloat16 || x.size(0) < kManyBFloat16Rows;
  return true;
}

}  // namespace

at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (is_ours(x)) return cpu_linear(x, weight, bias);
  return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

}  // namespace safetylock
