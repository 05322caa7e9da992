// The locks that the paper's authors published: NAME.safelock, a zip archive by torch.save with a pickle of
//   {"model.layers.N.self_attn.head_out": [(head, direction, standard deviation), ...], ...}
// in numpy's numbers. They name no model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace safetylock {

struct PublishedHead {
  std::int64_t layer = 0;        ///< 0 to 2^20 - 1
  std::int64_t head = 0;         ///< 0 to 2^20 - 1
  std::vector<float> direction;  ///< [D]: float16 is widened, float64 rounded; not normalised
  float sigma = 0;
};

/// In the file's order. Throws Error io.*, limit.file_size (over 4 MiB), zip.*, pkl.*, limit.nodes, lock.head
/// (rows P1 to P23 of docs/threat-model.md). Nothing falls back to another reader.
std::vector<PublishedHead> read_published_lock(const std::string& path);
/// As above from bytes; `file` labels errors.
std::vector<PublishedHead> published_lock_from_bytes(std::string_view bytes, const std::string& file);

}  // namespace safetylock
