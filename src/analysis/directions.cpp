#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "analysis/head_rows.h"
#include "safetylock/error.h"
#include "safetylock/probes.h"

namespace safetylock {
namespace {

[[noreturn]] void fail_degenerate(const std::string& head, const char* what) {
  throw Error({"probe.degenerate", "", "mean_difference_directions: " + head,
               "safe and unsafe rows that differ", what, "Such a head cannot be locked; leave it out"});
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
  if (!(result.gap > 0)) fail_degenerate(name, "equal means");
  for (double& x : result.direction) x /= result.gap;

  std::vector<double> projections(static_cast<size_t>(rows.count()));
  double mean = 0;
  for (std::int64_t i = 0; i < rows.count(); ++i) {
    double& p = projections[static_cast<size_t>(i)];
    for (size_t j = 0; j < width; ++j) p += rows.row(i)[j] * result.direction[j];
    mean += p / n;
  }
  double variance = 0;
  for (const double p : projections) variance += (p - mean) * (p - mean) / n;
  result.sigma = std::sqrt(variance);
  if (!(result.sigma > 0)) fail_degenerate(name, "a sigma of 0");
  return result;
}

}  // namespace

std::vector<MeanDifference> mean_difference_directions(const at::Tensor& values, const at::Tensor& labels,
                                                       const std::vector<HeadId>& heads) {
  constexpr const char* kFunction = "mean_difference_directions";
  if (values.dim() != 4) {
    throw Error({"arg.shape", "", std::string(kFunction) + ": values", "[N, L, H, D]",
                 std::to_string(values.dim()) + " dimensions", ""});
  }
  const HeadValues all(values, kFunction);
  const std::vector<std::int64_t> classes = checked_labels(labels, all.rows(), kFunction);
  const std::int64_t layers = values.size(1);
  const std::int64_t heads_per_layer = values.size(2);
  for (const HeadId& id : heads) {
    if (id.layer >= 0 && id.layer < layers && id.head >= 0 && id.head < heads_per_layer) continue;
    throw Error(
        {"arg.range", "", std::string(kFunction) + ": heads",
         "layers below " + std::to_string(layers) + ", heads below " + std::to_string(heads_per_layer),
         "layer " + std::to_string(id.layer) + ", head " + std::to_string(id.head), ""});
  }
  const std::vector<std::int64_t> index = all_rows(all.rows());
  std::vector<MeanDifference> out(heads.size());
  at::parallel_for(0, static_cast<std::int64_t>(heads.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> buffer;
    for (std::int64_t k = begin; k < end; ++k) {
      const HeadId id = heads[static_cast<size_t>(k)];
      const std::int64_t head = id.layer * heads_per_layer + id.head;
      all.gather(head, buffer);
      const RowView rows{buffer.data(), index, padded_row_length(all.dim())};
      out[static_cast<size_t>(k)] = mean_difference(rows, classes, all.dim(), all.name(head));
      out[static_cast<size_t>(k)].id = id;
    }
  });
  return out;
}

}  // namespace safetylock
