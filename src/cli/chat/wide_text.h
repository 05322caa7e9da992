// Between a terminal, which speaks UTF-8, and an editor of wide characters.
#pragma once

#include <locale.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace safetylock::cli {

/// While it lives, the thread's locale writes and measures characters as UTF-8, as all that the tool prints,
/// whatever the user's locale.
class Utf8Locale {
 public:
  Utf8Locale();
  ~Utf8Locale();
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t locale_, before_ = nullptr;
};

std::string to_utf8(std::wstring_view text);

/// Standard input character by character.
class CharacterReader {
 public:
  /// U+FFFD for a byte that is no character; nothing at the end of the input, or when a SIGINT has come.
  /// `on_idle` is called now and then while nothing does.
  std::optional<wchar_t> next(const std::function<void()>& on_idle);

 private:
  std::string unread_;  // the beginning of a character
};

}  // namespace safetylock::cli
