#include "model/packed_batch.h"

namespace safetylock {

size_t BatchBuilder::add(const std::vector<TokenId>& tokens, std::int64_t first_position,
                         std::int64_t request, std::vector<size_t> parents, std::int64_t slot) {
  segments_.push_back({.begin = static_cast<std::int64_t>(ids_.size()),
                       .length = static_cast<std::int64_t>(tokens.size()),
                       .parents = std::move(parents),
                       .slot = slot});
  for (const TokenId id : tokens) {
    ids_.push_back(id);
    positions_.push_back(first_position++);
    requests_.push_back(request);
  }
  return segments_.size() - 1;
}

PackedBatch BatchBuilder::build() const {
  return {.ids = at::tensor(ids_, at::kLong),
          .positions = at::tensor(positions_, at::kLong),
          .requests = at::tensor(requests_, at::kLong),
          .segments = segments_};
}

}  // namespace safetylock
