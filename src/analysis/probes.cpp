#include "safetylock/probes.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "analysis/batched_probes.h"
#include "analysis/head_rows.h"
#include "analysis/probe_solver.h"
#include "analysis/ranking.h"

namespace safetylock {

std::vector<Probe> train_probes(const at::Tensor& rows, const at::Tensor& labels,
                                const ProbeOptions& options) {
  check_probe_options(options);
  if (rows.is_cuda() && rows.dim() == 3 && rows.is_floating_point() &&
      at::isfinite(rows).all().item<bool>()) {
    checked_labels(labels, rows.size(0), "train_probes");
    return train_probes_together(rows, labels.to(rows.device(), at::kDouble), options);
  }
  const HeadValues values(rows, "train_probes");
  const std::vector<std::int64_t> classes = checked_labels(labels, values.rows(), "train_probes");
  const std::vector<std::int64_t> index = all_rows(values.rows());
  std::vector<Probe> probes(static_cast<size_t>(values.heads()));
  at::parallel_for(0, values.heads(), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> buffer;
    for (std::int64_t head = begin; head < end; ++head) {
      values.gather(head, buffer);
      Probe& probe = probes[static_cast<size_t>(head)];
      probe = fit_probe({buffer.data(), index, padded_row_length(values.dim())}, classes, options);
      probe.weights.resize(static_cast<size_t>(values.dim()));
    }
  });
  return probes;
}

}  // namespace safetylock
