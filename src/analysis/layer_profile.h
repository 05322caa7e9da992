// What the rows of one layer say of each of its heads, by question: enough to compare two models and to
// resample their questions without keeping the rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace safetylock {

/// Which rows belong together. Q questions; class 0 is unsafe, 1 is safe.
struct QuestionRows {
  std::int64_t questions = 0;  ///< Q
  at::Tensor question;         ///< [N] int64 in [0, Q)
  at::Tensor label;            ///< [N] int64
  at::Tensor counts;           ///< [2, Q] double: rows of each class and question, none of them 0
};

/// From `labels` and `groups` [N] int64. Throws arg.shape, arg.dtype, arg.range, data.single_class (also for
/// a question with rows of one class alone), data.too_few (fewer than 4 questions).
QuestionRows question_rows(const at::Tensor& labels, const at::Tensor& groups);

/// All in double on the CPU.
struct LayerProfile {
  at::Tensor sums;        ///< [2, Q, H, D]: rows summed by class and question
  at::Tensor directions;  ///< [H, D]: unit (mean of safe rows - mean of unsafe rows); 0 where they are equal
  at::Tensor sigmas;      ///< [H]: standard deviation (ddof 0) of all rows' projections on the direction
  at::Tensor moments;     ///< [2, Q, H]: by question, the sum of those projections about their mean, and of
                          ///< their squares
};

/// `values` [N, H, D] of any float dtype and device.
LayerProfile profile_layer(const at::Tensor& values, const QuestionRows& rows);

/// Projections of `values` [N, H, D] on one direction a head, `directions` [H, D]: [N, H] double on the CPU.
at::Tensor project_rows(const at::Tensor& values, const at::Tensor& directions);

/// For each question, how far its safe reply lies above its unsafe one (means of their rows) along a
/// direction that was derived from other questions, in units of sigma: [Q, H]. Questions are dealt out to 5
/// parts (to Q when there are fewer) in turn; each part is measured by the direction of the others. Without a
/// difference between the classes these are as often below 0 as above.
at::Tensor held_out_gaps(const LayerProfile& profile, const QuestionRows& rows);

}  // namespace safetylock
