// How the projections of one head's rows are spread: kernel densities on a grid, and how far two are apart.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace safetylock {

/// `cells` intervals of equal width between two different numbers; a density is given at their centres.
struct DensityGrid {
  double from = 0;
  double to = 1;
  std::int64_t cells = 64;

  double width() const noexcept { return (to - from) / static_cast<double>(cells); }
};

/// Scott's rule as in scipy's gaussian_kde: n^(-1/5) times the standard deviation (ddof 1) of `samples` [n]
/// double, n >= 2. 0 when they are all equal.
double scott_bandwidth(const at::Tensor& samples);

/// How much of the Gaussian kernel around each of `samples` [n] double lies in each cell: [n, cells] double.
/// Sums of rows over cells stay below 1 by what lies outside the grid. A bandwidth below a tenth of a cell
/// counts as that, so that equal samples have a density too.
at::Tensor kernel_masses(const at::Tensor& samples, double bandwidth, const DensityGrid& grid);

/// Kullback-Leibler divergence KL(p || q) in nats, over the last dimension of masses [..., cells] in double.
/// Either is normalised to 1 and then mixed with the uniform distribution, which gets a share of 0.001: a
/// cell that one model never visits stays finitely surprising, and nothing exceeds log(1000 cells).
at::Tensor smoothed_divergence(const at::Tensor& p, const at::Tensor& q);

}  // namespace safetylock
