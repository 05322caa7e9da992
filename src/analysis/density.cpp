#include "analysis/density.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace safetylock {
namespace {

constexpr double kUniformShare = 1e-3;
constexpr double kLeastBandwidth = 0.1;  // of a cell

at::Tensor smoothed(const at::Tensor& masses) {
  const at::Tensor shares = masses / masses.sum(-1, true);
  return (1 - kUniformShare) * shares + kUniformShare / static_cast<double>(masses.size(-1));
}

}  // namespace

double scott_bandwidth(const at::Tensor& samples) {
  return std::pow(static_cast<double>(samples.size(0)), -0.2) * samples.std().item<double>();
}

at::Tensor kernel_masses(const at::Tensor& samples, double bandwidth, const DensityGrid& grid) {
  const at::Tensor edges = at::linspace(grid.from, grid.to, grid.cells + 1, samples.options());
  const double scale = std::sqrt(2.0) * std::max(bandwidth, kLeastBandwidth * grid.width());
  const at::Tensor below = 0.5 * at::erf((edges - samples.unsqueeze(1)) / scale);
  return below.diff(1, 1);
}

at::Tensor smoothed_divergence(const at::Tensor& p, const at::Tensor& q) {
  const at::Tensor a = smoothed(p), b = smoothed(q);
  return (a * (a.log() - b.log())).sum(-1);
}

}  // namespace safetylock
