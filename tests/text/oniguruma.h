// Oniguruma, the engine of Hugging Face's wheels, behind a small class: its own header does not go together
// with the C library's regex.h.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace safetylock::test {

using Words = std::vector<std::pair<size_t, size_t>>;  // begin and end, in bytes

class Oniguruma {
 public:
  explicit Oniguruma(std::string_view pattern);
  ~Oniguruma();
  Oniguruma(const Oniguruma&) = delete;
  Oniguruma& operator=(const Oniguruma&) = delete;

  /// Appends the matches in `text`, and what lies between them, each moved on by `base`.
  void cut(std::string_view text, size_t base, Words& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace safetylock::test
