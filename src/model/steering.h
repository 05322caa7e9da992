// Interventions made ready for one batch: what to add to a layer's attention output.
#pragma once

#include <map>

#include "model/kernels/add_scaled_row.h"
#include "model/torch_includes.h"
#include "safetylock/interventions.h"

namespace safetylock {

/// Throws Error arg.shape or arg.range unless every bias is a finite [E] float32 vector on `device` for an
/// existing layer.
void check_interventions(const Interventions& interventions, std::int64_t layers, std::int64_t hidden_size,
                         at::Device device);

/// strength(request of the row) * bias(layer), with nothing computed where no request asks for it.
class Steering {
 public:
  /// Nothing is added.
  Steering() = default;
  /// `requests` [N] as in PackedBatch. Throws Error arg.shape unless there is one strength, or one for each
  /// request.
  Steering(const Interventions& interventions, const at::Tensor& requests, std::int64_t num_requests,
           at::ScalarType dtype);

  /// From `biases` as in Interventions and a strength a row, [N, 1] float32 on the model's device, whose
  /// values may change between passes.
  Steering(std::map<std::int64_t, at::Tensor> biases, at::Tensor row_strengths)
      : vectors_(std::move(biases)), row_strengths_(std::move(row_strengths)) {}

  /// What is added to the attention output [N, E] of `layer`.
  RowTerm term(std::int64_t layer) const;

 private:
  /// A layer each. All rows alike: alpha * b [E] in the model's dtype; else b [E] float32.
  std::map<std::int64_t, at::Tensor> vectors_;
  at::Tensor row_strengths_;  // [N, 1] float32; undefined when all rows are alike
};

}  // namespace safetylock
