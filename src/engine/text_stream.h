// A reply's text as it becomes certain, from bytes that may break off anywhere: inside a character, inside a
// stop string. Knows no tokenizer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

class TextStream {
 public:
  /// `stop`: texts that end the stream, none of them empty.
  explicit TextStream(std::vector<std::string> stop = {});

  /// Takes the next bytes; returns what can be shown now. It consists of whole characters, with U+FFFD for
  /// bytes that are none, and of nothing that may yet be part of a stop string. However the bytes are cut,
  /// all that is returned together is the same: utf8::to_valid of all bytes, up to the stop string that is
  /// complete first (of several that end together, the longest).
  std::string push(std::string_view bytes);
  /// No bytes follow: returns the rest.
  std::string finish();
  /// A stop string was complete; everything from its beginning on is dropped.
  bool stopped() const noexcept { return stopped_; }

 private:
  std::string take(std::string_view characters);

  std::vector<std::string> stop_;
  std::string bytes_;  // of a character that is not whole yet
  std::string held_;   // whole characters that may begin a stop string
  bool stopped_ = false;
};

}  // namespace safetylock
