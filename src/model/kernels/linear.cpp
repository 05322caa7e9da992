#include "model/kernels/linear.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

#include "model/device_dtype.h"
#include "model/kernels/cpu_linear.h"
#include "model/kernels/tile_linear.h"

namespace safetylock {
namespace {

/// Rows from which on libtorch's product is the quicker one for float32, and for bfloat16 where the processor
/// multiplies that faster than float32: with tiles of ours, and without.
constexpr std::int64_t kManyFloatRows = 64, kManyTileRows = 192, kManyBFloat16Rows = 96;

/// Where libtorch's product of bfloat16 begins to be the quicker one; nothing: never.
std::optional<std::int64_t> many_bfloat16_rows() {
  if (host_has_tiles()) return kManyTileRows;
  return cpu_multiplies_bfloat16_fast() ? std::optional(kManyBFloat16Rows) : std::nullopt;
}

bool is_ours(const at::Tensor& x) {
  static const std::optional<std::int64_t> many_bfloat16 = many_bfloat16_rows();
  if (!x.is_cpu()) return false;
  if (x.scalar_type() == at::kFloat) return x.size(0) < kManyFloatRows;
  if (x.scalar_type() == at::kBFloat16) return !many_bfloat16 || x.size(0) < *many_bfloat16;
  return true;
}

}  // namespace

at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (is_ours(x)) return cpu_linear(x, weight, bias);
  return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

}  // namespace safetylock
