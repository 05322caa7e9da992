// The one exception type of the library.
//
// Thread rule: a value type; safe to copy and to throw across threads.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace safetylock {

/// What went wrong, as fields a program can act on and as one readable line (`what()`).
///
/// `code` is a stable dotted string ("gguf.magic", "lora.no_effect"); its first part names the area.
/// Texts that come from files or users are escaped and cut to 200 bytes before they enter an Error.
struct ErrorFields {
  std::string code;           ///< stable, dotted, lower case
  std::string file = {};      ///< path of the input at fault; empty if none
  std::string where = {};     ///< function argument, byte offset, JSON pointer, tensor name, line ...
  std::string expected = {};  ///< the rule
  std::string found = {};     ///< the value received
  std::string hint = {};      ///< what to do about it
};

class Error : public std::runtime_error {
 public:
  explicit Error(ErrorFields fields);

  const std::string& code() const noexcept { return fields_.code; }
  const ErrorFields& fields() const noexcept { return fields_; }

 private:
  ErrorFields fields_;
};

/// The process exit code a command-line tool should end with for this error: 1 run time (memory, output),
/// 2 usage, 3 bad input file, 4 refused (the lock does not belong to the model), 5 check failed, 130
/// interrupted.
int exit_code(const Error& error) noexcept;

/// Printable form of untrusted text: control characters, quotes, bidi marks and invalid UTF-8 become \xNN or
/// \u{...} escapes, and the result is cut to `max_bytes` (with an ellipsis).
std::string escape_untrusted(std::string_view text, size_t max_bytes = 200);

}  // namespace safetylock
