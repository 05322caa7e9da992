// Turning pieces of a sentencepiece vocabulary back into text.
#pragma once

#include <string>
#include <string_view>

namespace safetylock {

/// What byte pieces that are no UTF-8 become.
enum class InvalidBytes {
  kept,           ///< as they are
  each_replaced,  ///< U+FFFD for each byte that begins no character, as spm_decode
  run_replaced,   ///< U+FFFD for each byte of the whole run, as tokenizers' ByteFallback
};

/// Byte pieces that follow each other.
class ByteRun {
 public:
  explicit ByteRun(InvalidBytes invalid) : invalid_(invalid) {}
  void push(char byte) { bytes_.push_back(byte); }
  /// Moves the run so far to the end of `out`.
  void flush(std::string& out);

 private:
  InvalidBytes invalid_;
  std::string bytes_;
};

/// Appends `piece` with a space for each U+2581.
void append_with_spaces(std::string_view piece, std::string& out);

}  // namespace safetylock
