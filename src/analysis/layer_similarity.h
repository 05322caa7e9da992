// How alike two models' heads are in one layer: directions, scales, densities; each with what it is in
// resamples of the questions.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "analysis/density.h"
#include "analysis/layer_profile.h"

namespace safetylock {

/// One model's side of a comparison.
struct LayerSide {
  LayerProfile profile;
  at::Tensor projections;  ///< [N, H] double: rows on the reference directions, the same for both models
};

/// All in double. B resamples.
struct LayerSimilarity {
  at::Tensor cosines;       ///< [H, H]: base's head by tuned's head; 0 where a head has no direction
  at::Tensor sigma_ratios;  ///< [H]: tuned's sigma by the base's; 0 where the base has none
  at::Tensor divergences;   ///< [H]: see head_divergence
  at::Tensor cosine_resamples, sigma_ratio_resamples, divergence_resamples;  ///< [B, H], of equal heads
};

/// The questions of both are the same in the same order; `multiplicities` [B, Q] double says how often each
/// resample draws each, for both alike, so that what the choice of questions does to both models cancels out.
/// A sigma's resamples keep the direction and a divergence's the grid and bandwidths of the whole.
LayerSimilarity compare_layers(const LayerSide& base, const QuestionRows& base_rows, const LayerSide& tuned,
                               const QuestionRows& tuned_rows, const at::Tensor& multiplicities);

/// Rows' kernel masses summed by class and question: [2, Q, cells]. Bandwidths by Scott's rule, one a class.
/// `projections` [N] double.
at::Tensor class_masses(const at::Tensor& projections, const QuestionRows& rows, const DensityGrid& grid);

/// A grid over everything in `projections` (each [N] double), with room for the kernels at both ends.
DensityGrid covering_grid(at::TensorList projections);

/// Mean over the two classes of the smoothed KL(base || tuned) in nats: safe rows against safe rows and
/// unsafe against unsafe, so that two models whose classes have changed places differ. Masses [..., 2,
/// cells].
at::Tensor head_divergence(const at::Tensor& base, const at::Tensor& tuned);

}  // namespace safetylock
