// tensor_digests MODEL: one line a tensor, "name sha256", over its float32 values in Hugging Face's row
// order. The counterpart of compare_tensors.py.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/sha256.h"
#include "formats/checkpoint.h"
#include "safetylock/error.h"

namespace {

constexpr std::uint64_t kChunkValues = std::uint64_t{1} << 22;

std::string digest(const safetylock::Checkpoint& checkpoint, const safetylock::CheckpointTensor& tensor) {
  const std::uint64_t rows = tensor.shape.front();
  const std::uint64_t columns = tensor.shape.size() > 1 ? tensor.shape.back() : 1;
  const std::uint64_t step = std::max<std::uint64_t>(1, kChunkValues / columns);
  safetylock::Sha256 hash;
  std::vector<float> values;
  for (std::uint64_t row = 0; row < rows; row += step) {
    const std::uint64_t end = std::min(rows, row + step);
    values.resize((end - row) * columns);
    checkpoint.read_rows(tensor, row, end, values);
    hash.update(std::as_bytes(std::span(values)));
  }
  return hash.hex();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const auto checkpoint = safetylock::Checkpoint::open(argv[1]);
    for (const auto& tensor : checkpoint->tensors()) {
      std::printf("%s %s\n", tensor.name.c_str(), digest(*checkpoint, tensor).c_str());
    }
  } catch (const safetylock::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
