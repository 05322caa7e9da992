#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace safetylock::cli {
namespace {

int descriptor(Stream stream) noexcept {
  return stream == Stream::out ? STDOUT_FILENO : STDERR_FILENO;
}

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

/// https://no-color.org and https://force-color.org; the option on the command line wins over both.
bool wants_colours(ColourMode mode, Stream stream) {
  if (mode != ColourMode::automatic) return mode == ColourMode::on;
  if (is_set("NO_COLOR")) return false;
  if (is_set("FORCE_COLOR")) return true;
  const char* term = std::getenv("TERM");
  if (term == nullptr || std::string_view(term) == "dumb") return false;
  return ::isatty(descriptor(stream)) == 1;
}

const char* code(Style style) noexcept {
  switch (style) {
    case Style::bold:
      return "\x1b[1m";
    case Style::red:
      return "\x1b[1;31m";
    case Style::green:
      return "\x1b[32m";
    case Style::yellow:
      return "\x1b[1;33m";
    case Style::dim:
      return "\x1b[2m";
    case Style::magenta:
      return "\x1b[1;35m";
    case Style::cyan:
      return "\x1b[36m";
    case Style::underline:
      return "\x1b[4m";
  }
  return "";
}

}  // namespace

Terminal::Terminal(ColourMode mode)
    : out_colours_(wants_colours(mode, Stream::out)), err_colours_(wants_colours(mode, Stream::err)) {}

bool Terminal::is_tty(Stream stream) const noexcept {
  return ::isatty(descriptor(stream)) == 1;
}

size_t Terminal::width(Stream stream) noexcept {
  struct winsize size {};
  if (::ioctl(descriptor(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string Terminal::styled(Stream stream, Style style, std::string_view text) const {
  if (!colours(stream)) return std::string(text);
  return code(style) + std::string(text) + "\x1b[0m";
}

}  // namespace safetylock::cli
