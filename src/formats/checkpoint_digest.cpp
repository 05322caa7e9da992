#include "formats/checkpoint_digest.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <span>
#include <thread>

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

std::string digest_of_bytes(const StoredTensor& t, std::vector<std::byte>& buffer) {
  Sha256 hash;
  for (std::uint64_t done = 0; done < t.bytes; done += buffer.size()) {
    buffer.resize(std::min(kChunkBytes, t.bytes - done));
    t.file->read_at(t.offset + done, buffer);
    hash.update(buffer);
  }
  return hash.hex();
}

/// Calls f(i) for i in [0, n) on all processors; throws the first error.
template <typename F>
void for_each_in_parallel(size_t n, const F& f) {
  std::atomic<size_t> next = 0;
  std::vector<std::exception_ptr> errors(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::jthread> threads;
  for (std::exception_ptr& error : errors) {
    threads.emplace_back([&] {
      try {
        std::vector<std::byte> buffer;
        for (size_t i = next++; i < n; i = next++) f(i, buffer);
      } catch (...) {
        error = std::current_exception();
        next = n;
      }
    });
  }
  threads.clear();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace

std::string digest_of_tensors(std::vector<StoredTensor> tensors, const TensorDigests& known) {
  std::vector<std::string> digests(tensors.size());
  for_each_in_parallel(tensors.size(), [&](size_t i, std::vector<std::byte>& buffer) {
    const auto it = known.find(tensors[i].tensor->name);
    digests[i] = it != known.end() ? it->second : digest_of_bytes(tensors[i], buffer);
  });
  std::vector<size_t> order(tensors.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return tensors[a].tensor->name < tensors[b].tensor->name; });
  Sha256 hash;
  for (const size_t i : order) {
    const CheckpointTensor& t = *tensors[i].tensor;
    add_text(hash, t.name);
    add_text(hash, t.storage);
    add_number(hash, t.shape.size());
    for (const std::uint64_t n : t.shape) add_number(hash, n);
    add_number(hash, tensors[i].bytes);
    add_text(hash, digests[i]);
  }
  return hash.hex();
}

}  // namespace safetylock
