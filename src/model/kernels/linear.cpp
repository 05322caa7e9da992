#include "model/kernels/linear.h"

#include <ATen/ATen.h>

#include <cstdint>

#include "model/device_dtype.h"
#include "model/kernels/cpu_linear.h"
#include "model/kernels/scratch.h"
#include "model/kernels/tile_linear.h"

namespace safetylock {
namespace {

/// Rows from which on libtorch's product is the quicker one for bfloat16 where the processor multiplies that
/// faster than float32 but has no tiles.
constexpr std::int64_t kManyBFloat16Rows = 96;

}  // namespace

bool is_for_cpu_linear(const at::Tensor& x, std::int64_t in) {
  if (!x.is_cpu()) return false;
  const std::int64_t rows = x.size(0);
  if (x.scalar_type() != at::kBFloat16) return true;
  if (best_instruction_set() == InstructionSet::amx && fits_tiles(in)) return true;
  static const bool multiplies_fast = cpu_multiplies_bfloat16_fast();
  return !multiplies_fast || rows < kManyBFloat16Rows;
}

at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (is_for_cpu_linear(x, weight.size(1))) return cpu_linear(x, weight, bias);
  at::Tensor y = scratch({x.size(0), weight.size(0)}, x.options());
  const at::Tensor rows = x.flatten(1);
  return bias.defined() ? at::addmm_out(y, bias, rows, weight.t()) : at::mm_out(y, rows, weight.t());
}

at::Tensor apply_linear_to_norm(const at::Tensor& x, const Norm& norm, const at::Tensor& weight,
                                const at::Tensor& bias) {
  const std::int64_t rows = x.size(0), in = x.size(1), out = weight.size(0);
  if (!x.is_cpu() || !is_for_tiles(best_instruction_set(), x.scalar_type(), rows, in) ||
      out % kTileColumns != 0)
    return apply_linear(rms_norm(x, norm.weight, norm.rule), weight, bias);
  at::Tensor y = scratch({rows, out}, x.options());
  tile_linear(product_on_tiles(x, tile_norm(norm), weight, bias, y));
  return y;
}

}  // namespace safetylock
