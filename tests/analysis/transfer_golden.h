// The rows of scripts/make_golden_transfer.py, bit for bit, and its results.
#pragma once

#include "analysis/generated_rows.h"
#include "analysis/layer_similarity.h"

namespace safetylock::test {

inline nlohmann::json transfer_golden() {
  std::ifstream file(SAFETYLOCK_SOURCE_DIR "/tests/golden/analysis/transfer.json");
  return nlohmann::json::parse(file);
}

/// [n, heads, dim] double; safe rows are moved by one, more or less by dimension.
inline at::Tensor transfer_rows(std::uint64_t seed, const at::Tensor& labels, std::int64_t heads,
                                std::int64_t dim) {
  const std::int64_t n = labels.size(0);
  const at::Tensor z =
      at::tensor(generated_integers(seed, n * heads * dim), at::kDouble).view({n, heads, dim});
  const at::Tensor size = (1 + at::arange(dim, at::kDouble)) * 0x1p13;
  return (z + (2 * labels - 1).view({n, 1, 1}) * size) * 0x1p-15;
}

inline at::Tensor integers_of(const nlohmann::json& list) {
  return at::tensor(list.get<std::vector<std::int64_t>>(), at::kLong);
}
inline at::Tensor doubles_of(const nlohmann::json& list) {
  return at::tensor(list.get<std::vector<double>>(), at::kDouble);
}
inline at::Tensor matrix_of(const nlohmann::json& rows) {
  std::vector<at::Tensor> parts;
  for (const nlohmann::json& row : rows) parts.push_back(doubles_of(row));
  return at::stack(parts);
}

}  // namespace safetylock::test
