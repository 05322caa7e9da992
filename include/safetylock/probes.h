// Probes, ranking and directions: steps 2 to 4 of the method. Tensors in, numbers out.
//
// Thread rule: free functions; they use at::parallel_for inside. Results do not depend on the number of
// threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "safetylock/head_id.h"
#include "safetylock/progress.h"

namespace safetylock {

/// L2-regularised logistic regression of one head (scikit-learn's LogisticRegression, C = 1, intercept not
/// penalised).
struct Probe {
  std::vector<double> weights;  ///< [D]
  double intercept = 0;
  double objective = 0;  ///< sum of log-losses + |w|^2 / (2 C)
  std::int64_t iterations = 0;
};

struct ProbeOptions {
  double C = 1.0;  ///< > 0
  std::int64_t max_iterations = 1000;
  double gradient_tolerance =
      1e-8;  ///< stop when no component of the gradient exceeds this (times the row count)
};

/// One probe for each of M heads. `rows` [n, M, D] (any float dtype), `labels` [n] int64 in {0, 1}. Double
/// arithmetic; rows on a GPU are worked on there, all heads at once. Throws data.single_class, num.nonfinite,
/// arg.shape.
std::vector<Probe> train_probes(const at::Tensor& rows, const at::Tensor& labels,
                                const ProbeOptions& options = {});

/// How well a head separates safe from unsafe rows on questions its probe has not seen.
struct HeadScore {
  HeadId id;
  double accuracy =
      0;           ///< validation accuracy, mean over repeats (protocol paper: mean of train and validation)
  double auc = 0;  ///< area under the ROC curve on validation rows, mean over repeats
  double ci_low = 0;  ///< 95 % bootstrap interval of the accuracy, over questions
  double ci_high = 0;
  double train_accuracy = 0;
};

struct RankOptions {
  std::string protocol = "grouped";  ///< grouped: split by question; paper: 60/40 over rows
  std::uint64_t seed = 0;
  std::int64_t repeats = 5;  ///< how many random splits (protocol paper: always one)
  double train_fraction = 0.6;
  ProbeOptions probe = {};
  ProgressCallback on_progress = {};  ///< unit "heads"
};

/// All L*H heads, best first: by accuracy, ties by AUC, then by HeadId. `values` [N, L, H, D], `labels` and
/// `groups` [N]. Throws data.too_few (fewer than 2 questions a side of a split), data.single_class,
/// probe.degenerate, arg.protocol.
std::vector<HeadScore> rank_heads(const at::Tensor& values, const at::Tensor& labels,
                                  const at::Tensor& groups, const RankOptions& options = {});

/// Unit direction and scale of heads.
struct MeanDifference {
  HeadId id;
  std::vector<double> direction;  ///< [D]: (mean of safe rows - mean of unsafe rows) / its norm
  double sigma = 0;               ///< standard deviation (ddof 0) over all rows of the projection on it
  double gap = 0;                 ///< norm of the difference of means: the class gap along the direction
};

/// For each of `heads`. Means and sigma accumulate in double. Throws probe.degenerate when the means are
/// equal or sigma is 0.
std::vector<MeanDifference> mean_difference_directions(const at::Tensor& values, const at::Tensor& labels,
                                                       const std::vector<HeadId>& heads);

/// Unit direction and scale of a head, from its probe.
struct ProbeDirection {
  HeadId id;
  std::vector<double> direction;  ///< [D]: weights of the probe trained on all rows / their norm
  double sigma = 0;               ///< as MeanDifference's
};

/// For each of `heads`. Throws probe.degenerate when the weights or sigma are 0.
std::vector<ProbeDirection> probe_weight_directions(const at::Tensor& values, const at::Tensor& labels,
                                                    const std::vector<HeadId>& heads,
                                                    const ProbeOptions& options = {});

}  // namespace safetylock
