#include "formats/checkpoint_digest.h"

#include <algorithm>
#include <span>

#include "base/sha256.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kChunkBytes = std::uint64_t{1} << 20;

void add_number(Sha256& hash, std::uint64_t n) {
  hash.update(std::as_bytes(std::span(&n, 1)));
}

void add_text(Sha256& hash, const std::string& text) {
  add_number(hash, text.size());
  hash.update(text);
}

void add_bytes(Sha256& hash, const StoredTensor& t, std::vector<std::byte>& buffer) {
  add_number(hash, t.bytes);
  for (std::uint64_t done = 0; done < t.bytes; done += buffer.size()) {
    buffer.resize(std::min(kChunkBytes, t.bytes - done));
    t.file->read_at(t.offset + done, buffer);
    hash.update(buffer);
  }
}

}  // namespace

std::string digest_of_tensors(std::vector<StoredTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const StoredTensor& a, const StoredTensor& b) { return a.tensor->name < b.tensor->name; });
  Sha256 hash;
  std::vector<std::byte> buffer;
  for (const StoredTensor& t : tensors) {
    add_text(hash, t.tensor->name);
    add_text(hash, t.tensor->storage);
    add_number(hash, t.tensor->shape.size());
    for (const std::uint64_t n : t.tensor->shape) add_number(hash, n);
    add_bytes(hash, t, buffer);
  }
  return hash.hex();
}

}  // namespace safetylock
