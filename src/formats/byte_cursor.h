// Sequential little-endian reading of a file through one buffer, with every length checked against what is
// left.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/file.h"

namespace safetylock {

class ByteCursor {
 public:
  /// `file` must outlive the cursor.
  explicit ByteCursor(const InputFile& file) : file_(&file) {}

  std::uint64_t offset() const noexcept { return offset_; }
  std::uint64_t left() const noexcept { return file_->size() - offset_; }

  /// A little-endian number. Throws io.truncated.
  template <typename T>
  requires std::integral<T> || std::floating_point<T> T number() {
    static_assert(std::endian::native == std::endian::little, "the formats read here are little-endian");
    T value{};
    bytes(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }

  /// Fills `out`. Throws io.truncated naming offset, bytes needed and bytes present.
  void bytes(std::span<std::byte> out);

 private:
  static constexpr size_t kBuffer = size_t{1} << 18;

  const InputFile* file_;
  std::uint64_t offset_ = 0;
  std::vector<std::byte> buffer_;
  std::uint64_t buffer_begin_ = 0;
};

}  // namespace safetylock
