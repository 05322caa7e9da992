// Which heads, positions and regularisation make the best gate: every candidate on rows it has not seen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analysis/block_regression.h"
#include "analysis/splits.h"

namespace safetylock {

/// A block is a head at a position: block = position * heads + head.
struct GateRows {
  const HeadValues& values;  ///< [N, positions * heads, D]
  std::span<const std::int64_t> labels;
  const Questions& topics;
  std::int64_t heads;  ///< L * H
};

/// Indices into the values' positions, a number of blocks (of each position as many, one more or less), a C.
struct GateShape {
  std::vector<std::int64_t> positions;
  std::int64_t blocks;
  double C;
};

class GateSearch {
 public:
  /// The arguments must outlive it. Shapes with the same positions come together, their numbers of blocks
  /// ascending.
  GateSearch(const GateRows& rows, std::span<const GateShape> shapes) : rows_(rows), shapes_(shapes) {}

  /// [shapes][judged]: margins of rows that are not among `train`. Ranking of the heads included.
  std::vector<std::vector<double>> margins(const std::vector<std::int64_t>& train,
                                           const std::vector<std::int64_t>& judged) const;

  /// The weights of one shape, trained on `train`.
  struct Trained {
    std::vector<std::int64_t> blocks;
    BlockWeights weights;
  };
  Trained train(const GateShape& shape, const std::vector<std::int64_t>& train) const;

 private:
  /// Blocks of these positions, best first, the positions taking turns: the best of them all would be of one
  /// position, and much alike.
  std::vector<std::int64_t> ranked(const std::vector<std::int64_t>& positions,
                                   const std::vector<double>& merits) const;
  /// Of each block: area under the ROC curve of a probe of its own, trained on one half of the topics and
  /// judged on the other.
  std::vector<double> merits(const std::vector<std::int64_t>& train) const;

  const GateRows& rows_;
  std::span<const GateShape> shapes_;
};

/// The topics among `rows` in `folds` parts of about as many topics each, the rows of each part ascending.
std::vector<std::vector<std::int64_t>> topic_folds(const Questions& topics,
                                                   const std::vector<std::int64_t>& rows, std::int64_t folds,
                                                   std::uint64_t seed);
/// Those of `rows` that are not in `part`; both ascending.
std::vector<std::int64_t> without(const std::vector<std::int64_t>& rows,
                                  const std::vector<std::int64_t>& part);

}  // namespace safetylock
