#include "analysis/layer_profile.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "analysis/head_rows.h"
#include "analysis/splits.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::int64_t kParts = 5;
constexpr std::int64_t kLeastQuestions = 4;

at::Tensor in_double(const at::Tensor& values) {
  return values.detach().to(at::kCPU, at::kDouble);
}

// [2, H, D] and [2] to [H, D]: unit vectors, or 0 where the means are equal.
at::Tensor unit_differences(const at::Tensor& sums, const at::Tensor& counts) {
  const at::Tensor means = sums / counts.view({2, 1, 1});
  const at::Tensor difference = means[1] - means[0];
  const at::Tensor norms = difference.norm(2, -1, true);
  return at::where(norms > 0, difference / norms, 0.0);
}

}  // namespace

QuestionRows question_rows(const at::Tensor& labels, const at::Tensor& groups) {
  constexpr const char* kFunction = "question_rows";
  checked_labels(labels, labels.numel(), kFunction);
  const Questions numbered = number_questions(checked_integers(groups, labels.numel(), kFunction, "groups"));
  if (numbered.count < kLeastQuestions) {
    throw Error({"data.too_few", "", std::string(kFunction) + ": groups",
                 "at least " + std::to_string(kLeastQuestions) + " questions", std::to_string(numbered.count),
                 "Give more pairs"});
  }
  QuestionRows rows{.questions = numbered.count,
                    .question = at::tensor(numbered.of_row, at::kLong),
                    .label = labels.to(at::kCPU),
                    .counts = {}};
  const at::Tensor cell = rows.label * rows.questions + rows.question;
  rows.counts = at::bincount(cell, {}, 2 * rows.questions).to(at::kDouble).view({2, rows.questions});
  if (rows.counts.min().item<double>() < 1) {
    throw Error({"data.single_class", "", std::string(kFunction) + ": labels",
                 "rows of both classes for every question", "a question with rows of one", ""});
  }
  return rows;
}

LayerProfile profile_layer(const at::Tensor& values, const QuestionRows& rows) {
  const at::Tensor x = in_double(values);
  const std::int64_t heads = x.size(1), dim = x.size(2), questions = rows.questions;
  LayerProfile profile;
  profile.sums = at::zeros({2 * questions, heads, dim}, at::kDouble)
                     .index_add_(0, rows.label * questions + rows.question, x)
                     .view({2, questions, heads, dim});
  profile.directions = unit_differences(profile.sums.sum(1), rows.counts.sum(1));
  const at::Tensor projections = project_rows(x, profile.directions);
  const at::Tensor centred = projections - projections.mean(0, true);
  profile.sigmas = centred.square().mean(0).sqrt();
  profile.moments = at::stack({centred, centred.square()});
  profile.moments =
      at::zeros({2, questions, heads}, at::kDouble).index_add_(1, rows.question, profile.moments);
  return profile;
}

at::Tensor project_rows(const at::Tensor& values, const at::Tensor& directions) {
  return (in_double(values) * directions).sum(-1);
}

at::Tensor held_out_gaps(const LayerProfile& profile, const QuestionRows& rows) {
  const std::int64_t parts = std::min(kParts, rows.questions);
  const at::Tensor part = at::arange(rows.questions, at::kLong).remainder(parts);
  const at::Tensor means = profile.sums / rows.counts.unsqueeze(-1).unsqueeze(-1);
  const at::Tensor gaps = means[1] - means[0];  // [Q, H, D]
  at::Tensor out = at::zeros({rows.questions, profile.sums.size(2)}, at::kDouble);
  for (std::int64_t p = 0; p < parts; ++p) {
    const at::Tensor others = (part != p).nonzero().squeeze(1), held_out = (part == p).nonzero().squeeze(1);
    const at::Tensor directions = unit_differences(profile.sums.index_select(1, others).sum(1),
                                                   rows.counts.index_select(1, others).sum(1));
    out.index_copy_(0, held_out, project_rows(gaps.index_select(0, held_out), directions));
  }
  return at::where(profile.sigmas > 0, out / profile.sigmas, 0.0);
}

}  // namespace safetylock
