// Whether the tensors of a checkpoint are those of its config, and its values numbers.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace safetylock {

/// Throws Error cfg.layers (whole layers missing or too many), model.tensor_missing, model.tensor_extra,
/// cfg.shape_conflict (q_proj or o_proj against heads * head_dim), cfg.kv_heads (k_proj, v_proj), cfg.vocab
/// (embedding, lm_head) or model.tensor_shape when `tensors` are not exactly those of tensor_table().
void check_tensors(const ModelConfig& config, std::span<const CheckpointTensor> tensors,
                   const std::string& file);

/// "[576, 1536]"
std::string shape_text(std::span<const std::uint64_t> shape);

/// Position and number of the NaN or infinite values met so far in one tensor.
struct NonFinite {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// Adds the non-finite ones of `values`, whose first has the flat index `begin`, to `found`.
void find_non_finite(std::span<const float> values, std::uint64_t begin, NonFinite& found);
/// Throws Error num.nonfinite when `found` holds any.
void refuse_non_finite(const NonFinite& found, const std::string& file, const CheckpointTensor& tensor);

/// Throws Error arg.shape unless [row_begin, row_end) are rows of `tensor` and `room` values are what they
/// take. Returns the number of values in a row.
std::uint64_t check_row_range(const CheckpointTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                              size_t room);

}  // namespace safetylock
