#include "analysis/layer_similarity.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace safetylock {
namespace {

constexpr double kRoom = 4;  // bandwidths beyond the outermost rows

at::Tensor finite_or_zero(const at::Tensor& values) {
  return at::nan_to_num(values, 0.0, 0.0, 0.0);
}

// Differences of means in every resample: [B, H, D].
at::Tensor resampled_differences(const LayerProfile& profile, const QuestionRows& rows,
                                 const at::Tensor& multiplicities) {
  const std::int64_t heads = profile.sums.size(2), dim = profile.sums.size(3);
  const auto mean = [&](std::int64_t label) {
    const at::Tensor sums = multiplicities.matmul(profile.sums[label].flatten(1));
    return sums / multiplicities.matmul(rows.counts[label]).unsqueeze(1);
  };
  return (mean(1) - mean(0)).view({-1, heads, dim});
}

// [B, H].
at::Tensor resampled_sigmas(const LayerProfile& profile, const QuestionRows& rows,
                            const at::Tensor& multiplicities) {
  const at::Tensor n = multiplicities.matmul(rows.counts.sum(0)).unsqueeze(1);
  const at::Tensor mean = multiplicities.matmul(profile.moments[0]) / n;
  const at::Tensor square = multiplicities.matmul(profile.moments[1]) / n;
  return (square - mean.square()).clamp_min(0).sqrt();
}

// [2, Q, cells] to [B, 2, cells].
at::Tensor resampled_masses(const at::Tensor& masses, const at::Tensor& multiplicities) {
  return at::einsum("bq,cqg->bcg", {multiplicities, masses});
}

}  // namespace

DensityGrid covering_grid(at::TensorList projections) {
  double low = 0, high = 0, room = 0;
  for (size_t i = 0; i < projections.size(); ++i) {
    const double least = projections[i].min().item<double>(), most = projections[i].max().item<double>();
    low = i == 0 ? least : std::min(low, least);
    high = i == 0 ? most : std::max(high, most);
    room = std::max(room, kRoom * scott_bandwidth(projections[i]));
  }
  if (!(high + room > low - room)) room = 1;  // all rows equal
  return {.from = low - room, .to = high + room};
}

at::Tensor class_masses(const at::Tensor& projections, const QuestionRows& rows, const DensityGrid& grid) {
  at::Tensor masses = at::zeros({2, rows.questions, grid.cells}, at::kDouble);
  for (std::int64_t label = 0; label < 2; ++label) {
    const at::Tensor mine = (rows.label == label).nonzero().squeeze(1);
    const at::Tensor samples = projections.index_select(0, mine);
    masses[label].index_add_(0, rows.question.index_select(0, mine),
                             kernel_masses(samples, scott_bandwidth(samples), grid));
  }
  return masses;
}

at::Tensor head_divergence(const at::Tensor& base, const at::Tensor& tuned) {
  return smoothed_divergence(base, tuned).mean(-1);
}

LayerSimilarity compare_layers(const LayerSide& base, const QuestionRows& base_rows, const LayerSide& tuned,
                               const QuestionRows& tuned_rows, const at::Tensor& multiplicities) {
  LayerSimilarity result;
  result.cosines = base.profile.directions.matmul(tuned.profile.directions.t());
  result.sigma_ratios = finite_or_zero(tuned.profile.sigmas / base.profile.sigmas);

  const at::Tensor a = resampled_differences(base.profile, base_rows, multiplicities);
  const at::Tensor b = resampled_differences(tuned.profile, tuned_rows, multiplicities);
  result.cosine_resamples = finite_or_zero((a * b).sum(-1) / (a.norm(2, -1) * b.norm(2, -1)));
  result.sigma_ratio_resamples = finite_or_zero(resampled_sigmas(tuned.profile, tuned_rows, multiplicities) /
                                                resampled_sigmas(base.profile, base_rows, multiplicities));

  const std::int64_t heads = base.projections.size(1);
  std::vector<at::Tensor> divergences(static_cast<size_t>(heads)), resamples(divergences.size());
  at::parallel_for(0, heads, 1, [&](std::int64_t begin, std::int64_t end) {
    const c10::InferenceMode inference;  // of this thread
    for (std::int64_t head = begin; head < end; ++head) {
      const auto at = static_cast<size_t>(head);
      const at::Tensor from = base.projections.select(1, head), to = tuned.projections.select(1, head);
      const DensityGrid grid = covering_grid({from, to});
      const at::Tensor p = class_masses(from, base_rows, grid), q = class_masses(to, tuned_rows, grid);
      divergences[at] = head_divergence(p.sum(1), q.sum(1));
      resamples[at] =
          head_divergence(resampled_masses(p, multiplicities), resampled_masses(q, multiplicities));
    }
  });
  result.divergences = at::stack(divergences);
  result.divergence_resamples = at::stack(resamples, 1);
  return result;
}

}  // namespace safetylock
