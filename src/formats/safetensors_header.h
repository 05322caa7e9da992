// The JSON header of a safetensors file: checking and canonical writing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "formats/safetensors.h"

namespace safetylock::safetensors {

constexpr std::uint64_t kMaxTensors = 262'144;
constexpr std::uint64_t kMaxNameBytes = 1'024;
constexpr std::uint64_t kMaxRank = 8;
constexpr std::uint64_t kMaxNumber = (std::uint64_t{1} << 48) - 1;  ///< of a dimension or an offset

struct Dtype {
  std::string_view name;
  std::uint32_t bits;
  bool supported;
};

/// Nothing known: nullptr. Types later in the table are written first, as the reference implementation does.
const Dtype* find_dtype(std::string_view name) noexcept;

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<SafetensorsTensor> tensors;  ///< by offset; offsets count from the first byte after the header
};

/// Proves `json` against `data_bytes`, the bytes after the header. Throws st.*, limit.*.
Header parse_header(std::string_view json, std::uint64_t data_bytes, const std::string& file);

/// Whether `a` is written before `b`.
bool written_before(const SafetensorsTensor& a, const SafetensorsTensor& b);

/// JSON of tensors that tile the data in this order, padded with blanks to a multiple of 8 bytes.
std::string header_text(const std::vector<SafetensorsTensor>& tensors,
                        const std::map<std::string, std::string>& metadata);

}  // namespace safetylock::safetensors
