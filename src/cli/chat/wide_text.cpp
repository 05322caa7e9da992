#include "cli/chat/wide_text.h"

#include <poll.h>
#include <unistd.h>

#include "base/utf8.h"
#include "cli/interrupt.h"

namespace safetylock::cli {
namespace {

constexpr int kPollMilliseconds = 100;

/// False when a SIGINT has come. It interrupts no read, so none may be waited in.
bool wait_for_byte(const std::function<void()>& on_idle) {
  struct pollfd input {
    STDIN_FILENO, POLLIN, 0
  };
  while (!interrupted() && ::poll(&input, 1, kPollMilliseconds) <= 0) on_idle();
  return !interrupted();
}

}  // namespace

Utf8Locale::Utf8Locale() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
  if (locale_ == nullptr) locale_ = ::newlocale(LC_CTYPE_MASK, "", nullptr);
  if (locale_ != nullptr) before_ = ::uselocale(locale_);
}

Utf8Locale::~Utf8Locale() {
  if (locale_ == nullptr) return;
  ::uselocale(before_);
  ::freelocale(locale_);
}

std::string to_utf8(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) utf8::append(out, static_cast<char32_t>(c));
  return out;
}

std::optional<wchar_t> CharacterReader::next(const std::function<void()>& on_idle) {
  while (utf8::unfinished_suffix(unread_) == unread_.size()) {
    char byte = 0;
    if (!wait_for_byte(on_idle) || ::read(STDIN_FILENO, &byte, 1) != 1) return std::nullopt;
    unread_ += byte;
  }
  const utf8::Decoded decoded = utf8::decode(unread_);
  unread_.erase(0, decoded.length);
  return static_cast<wchar_t>(decoded.code_point);
}

}  // namespace safetylock::cli
