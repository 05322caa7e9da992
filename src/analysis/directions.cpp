#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "analysis/head_rows.h"
#include "analysis/probe_solver.h"
#include "analysis/ranking.h"
#include "safetylock/error.h"
#include "safetylock/probes.h"

namespace safetylock {
namespace {

constexpr const char* kMeanDifferences = "mean_difference_directions";
constexpr const char* kProbeWeights = "probe_weight_directions";

[[noreturn]] void fail_degenerate(const char* function, const std::string& head, const char* what) {
  throw Error({"probe.degenerate", "", std::string(function) + ": " + head,
               "safe and unsafe rows that differ", what, "Such a head cannot be locked; leave it out"});
}

// Standard deviation (ddof 0) of the rows' projections on `direction`.
double spread_along(const RowView& rows, const std::vector<double>& direction) {
  const auto n = static_cast<double>(rows.count());
  std::vector<double> projections(static_cast<size_t>(rows.count()));
  double mean = 0;
  for (std::int64_t i = 0; i < rows.count(); ++i) {
    double& p = projections[static_cast<size_t>(i)];
    for (size_t j = 0; j < direction.size(); ++j) p += rows.row(i)[j] * direction[j];
    mean += p / n;
  }
  double variance = 0;
  for (const double p : projections) variance += (p - mean) * (p - mean) / n;
  return std::sqrt(variance);
}

MeanDifference mean_difference(const RowView& rows, const std::vector<std::int64_t>& labels, std::int64_t dim,
                               const std::string& name) {
  const auto width = static_cast<size_t>(dim);
  const auto n = static_cast<double>(rows.count());
  std::vector<double> safe(width), unsafe(width);
  double safe_count = 0;
  for (std::int64_t i = 0; i < rows.count(); ++i) {
    const bool is_safe = labels[static_cast<size_t>(i)] == 1;
    std::vector<double>& sum = is_safe ? safe : unsafe;
    for (size_t j = 0; j < width; ++j) sum[j] += rows.row(i)[j];
    safe_count += is_safe;
  }
  MeanDifference result;
  result.direction.resize(width);
  double squares = 0;
  for (size_t j = 0; j < width; ++j) {
    result.direction[j] = safe[j] / safe_count - unsafe[j] / (n - safe_count);
    squares += result.direction[j] * result.direction[j];
  }
  result.gap = std::sqrt(squares);
  if (!(result.gap > 0)) fail_degenerate(kMeanDifferences, name, "equal means");
  for (double& x : result.direction) x /= result.gap;
  result.sigma = spread_along(rows, result.direction);
  if (!(result.sigma > 0)) fail_degenerate(kMeanDifferences, name, "a sigma of 0");
  return result;
}

ProbeDirection probe_weights(const RowView& rows, const std::vector<std::int64_t>& labels, std::int64_t dim,
                             const std::string& name, const ProbeOptions& options) {
  ProbeDirection result;
  result.direction = fit_probe(rows, labels, options).weights;
  result.direction.resize(static_cast<size_t>(dim));
  double squares = 0;
  for (const double w : result.direction) squares += w * w;
  if (!(squares > 0)) fail_degenerate(kProbeWeights, name, "a probe without weights");
  for (double& w : result.direction) w /= std::sqrt(squares);
  result.sigma = spread_along(rows, result.direction);
  if (!(result.sigma > 0)) fail_degenerate(kProbeWeights, name, "a sigma of 0");
  return result;
}

/// One `Direction` for each of `heads`, by direction_of(rows, labels, dim, name of the head).
template <typename Direction, typename F>
std::vector<Direction> directions(const char* function, const at::Tensor& values, const at::Tensor& labels,
                                  const std::vector<HeadId>& heads, const F& direction_of) {
  if (values.dim() != 4) {
    throw Error({"arg.shape", "", std::string(function) + ": values", "[N, L, H, D]",
                 std::to_string(values.dim()) + " dimensions", ""});
  }
  const HeadValues all(values, function);
  const std::vector<std::int64_t> classes = checked_labels(labels, all.rows(), function);
  const std::int64_t layers = values.size(1);
  const std::int64_t heads_per_layer = values.size(2);
  for (const HeadId& id : heads) {
    if (id.layer >= 0 && id.layer < layers && id.head >= 0 && id.head < heads_per_layer) continue;
    throw Error(
        {"arg.range", "", std::string(function) + ": heads",
         "layers below " + std::to_string(layers) + ", heads below " + std::to_string(heads_per_layer),
         "layer " + std::to_string(id.layer) + ", head " + std::to_string(id.head), ""});
  }
  const std::vector<std::int64_t> index = all_rows(all.rows());
  std::vector<Direction> out(heads.size());
  at::parallel_for(0, static_cast<std::int64_t>(heads.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> buffer;
    for (std::int64_t k = begin; k < end; ++k) {
      const HeadId id = heads[static_cast<size_t>(k)];
      const std::int64_t head = id.layer * heads_per_layer + id.head;
      all.gather(head, buffer);
      const RowView rows{buffer.data(), index, padded_row_length(all.dim())};
      out[static_cast<size_t>(k)] = direction_of(rows, classes, all.dim(), all.name(head));
      out[static_cast<size_t>(k)].id = id;
    }
  });
  return out;
}

}  // namespace

std::vector<MeanDifference> mean_difference_directions(const at::Tensor& values, const at::Tensor& labels,
                                                       const std::vector<HeadId>& heads) {
  return directions<MeanDifference>(kMeanDifferences, values, labels, heads, mean_difference);
}

std::vector<ProbeDirection> probe_weight_directions(const at::Tensor& values, const at::Tensor& labels,
                                                    const std::vector<HeadId>& heads,
                                                    const ProbeOptions& options) {
  check_probe_options(options);
  return directions<ProbeDirection>(
      kProbeWeights, values, labels, heads,
      [&](const RowView& rows, const std::vector<std::int64_t>& classes, std::int64_t dim,
          const std::string& name) { return probe_weights(rows, classes, dim, name, options); });
}

}  // namespace safetylock
