#include "formats/byte_cursor.h"

#include <algorithm>
#include <string>

#include "safetylock/error.h"

namespace safetylock {

void ByteCursor::bytes(std::span<std::byte> out) {
  if (out.size() > left()) {
    throw Error({"io.truncated", file_->path(), "offset " + std::to_string(offset_),
                 std::to_string(out.size()) + " bytes", std::to_string(left()) + " bytes",
                 "The file is cut short; fetch it again"});
  }
  while (!out.empty()) {
    const std::uint64_t buffer_end = buffer_begin_ + buffer_.size();
    if (offset_ < buffer_begin_ || offset_ >= buffer_end) {
      buffer_.resize(std::min<std::uint64_t>(kBuffer, left()));
      buffer_begin_ = offset_;
      file_->read_at(offset_, buffer_);
      continue;
    }
    const size_t n = std::min<std::uint64_t>(out.size(), buffer_end - offset_);
    std::memcpy(out.data(), buffer_.data() + (offset_ - buffer_begin_), n);
    out = out.subspan(n);
    offset_ += n;
  }
}

}  // namespace safetylock
