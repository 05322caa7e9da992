// The parsing half of GgufFile: bytes become checked plain structs, and nothing is allocated from an
// unchecked number. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "formats/gguf.h"

namespace safetylock::gguf {

// Limits well above any published model; each exists so that a small file cannot ask for much memory.
constexpr std::uint64_t kMaxMetadata = 65'536;
constexpr std::uint64_t kMaxTensors = 262'144;
constexpr std::uint64_t kMaxKeyBytes = 65'535;  ///< the format's own limit; also taken for tensor names
constexpr std::uint64_t kMaxStringBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kMaxArrayElements = std::uint64_t{1} << 25;  ///< over all arrays of a file
constexpr std::uint64_t kMaxRank = 4;
constexpr std::uint64_t kMaxExtent = (std::uint64_t{1} << 48) - 1;
constexpr std::uint64_t kMaxAlignment = std::uint64_t{1} << 20;
constexpr std::uint64_t kDefaultAlignment = 32;

struct Parsed {
  std::uint32_t version = 0;
  std::vector<GgufEntry> entries;  ///< in file order
  std::unordered_map<std::string, GgufValue> metadata;
  std::vector<GgufTensor> tensors;
  std::unordered_map<std::string, size_t> tensor_index;
  std::uint64_t alignment = kDefaultAlignment;
  std::uint64_t data_begin = 0;
};

/// Throws Error gguf.*, limit.*, io.truncated, io.wrong_format.
Parsed parse(const InputFile& file);

/// "string", "float", "array of int" ...: for error texts.
std::string describe(const GgufValue& value);

}  // namespace safetylock::gguf
