// L2-regularised logistic regression on many heads at once: far more features than rows. It is solved among
// the rows, by their Gram matrix, which gives the same minimum as all the features would.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "analysis/head_rows.h"
#include "safetylock/probes.h"

namespace safetylock {

/// What the regression says: margin of a row x = intercept + sum over blocks of weights . x's block.
struct BlockWeights {
  std::vector<std::vector<double>> weights;  ///< a block each, [D]
  double intercept = 0;
};

/// Some training rows and some rows to be judged. Blocks (heads of `values`) are centred on the training rows
/// and scaled to a mean square of 1 there, so that each has the same say; K blocks together are scaled to a
/// mean square of 1 again, so that C means the same for any number of them.
class BlockRegression {
 public:
  /// `values` and `labels` ([N], 0 or 1) must outlive this. Both classes are among the rows `train`.
  BlockRegression(const HeadValues& values, std::span<const std::int64_t> labels,
                  std::vector<std::int64_t> train, std::vector<std::int64_t> judged);

  /// Takes another block into the regression. One that is constant on `train` gets no weight.
  void add(std::int64_t block);
  /// The same with its kernel at hand, [train + judged, train] as kernel() gives it.
  void add(std::int64_t block, const at::Tensor& kernel);
  at::Tensor kernel(std::int64_t block) const;

  /// The minimum with `C` over the blocks so far.
  struct Solution {
    std::vector<double> margins;  ///< of the rows `judged`
    std::vector<double> duals;    ///< of the rows `train`: the weights are their combination
    double intercept = 0;
  };
  /// One for each of `Cs`.
  std::vector<Solution> solve(std::span<const double> Cs) const;

  /// In terms of the values as they are.
  BlockWeights weights(const Solution& solution) const;

 private:
  struct Scaled {
    std::vector<double> rows;  // [N, padded D]
    std::vector<double> mean;  // [padded D], over the training rows
    double inverse = 0;        // of the root mean square of the centred training rows; 0: they are constant
  };
  Scaled scaled(std::int64_t block) const;

  const HeadValues& values_;
  std::span<const std::int64_t> labels_;
  std::vector<std::int64_t> train_, judged_;
  std::vector<std::int64_t> blocks_;
  at::Tensor gram_;  // [train + judged, train] float64, sum over the blocks
};

}  // namespace safetylock
