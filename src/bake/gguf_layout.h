// What stands before the data of a GGUF file, byte for byte, so that another file can be made of it
// unchanged.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/gguf.h"

namespace safetylock::gguf {

/// One metadata entry: the key, and its type and value as they stand in the file.
struct RawEntry {
  std::string key;
  std::string value;  ///< type (4 bytes) and value
};

struct RawTensor {
  std::string name;
  std::vector<std::uint64_t> extents;  ///< innermost first, as in the file
  std::uint32_t type = 0;
  std::uint64_t offset = 0;  ///< from the beginning of the data
};

struct Layout {
  std::uint32_t version = 0;
  std::vector<RawEntry> metadata;
  std::vector<RawTensor> tensors;
};

/// Of a file that is not split and holds a tensor. Throws io.*.
Layout layout_of(const GgufFile& file);

/// Type and value, as a file holds them: of a string, a float64, a uint32, a bool.
std::string string_value(const std::string& text);
std::string number_value(double value);
std::string count_value(std::uint32_t value);
std::string boolean_value(bool value);

/// Everything before the data, padded to `alignment`.
std::string header_bytes(const Layout& layout, std::uint64_t alignment);

}  // namespace safetylock::gguf
