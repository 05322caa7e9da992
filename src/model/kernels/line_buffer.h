// Room that a kernel's thread uses again and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace safetylock {

/// Room that begins with a cache line. What is in it is not set.
template <typename T>
class LineBuffer {
 public:
  T* reserve(std::int64_t values) {
    constexpr size_t kLine = 64;
    if (const size_t bytes = static_cast<size_t>(values) * sizeof(T) + kLine; bytes > room_.size())
      room_.resize(bytes);
    void* begin = room_.data();
    size_t space = room_.size();
    return static_cast<T*>(std::align(kLine, 1, begin, space));
  }

 private:
  std::vector<std::byte> room_;
};

}  // namespace safetylock
