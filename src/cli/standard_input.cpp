#include "cli/standard_input.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "cli/interrupt.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

constexpr int kPollMilliseconds = 100;

/// Returns once a read would not block. Reads are restarted after Ctrl-C, so they must not be waited in.
void wait_for_input() {
  struct pollfd input {
    STDIN_FILENO, POLLIN, 0
  };
  while (::poll(&input, 1, kPollMilliseconds) <= 0) check_interrupt();
  check_interrupt();
}

}  // namespace

std::string read_standard_input_piece() {
  wait_for_input();
  std::array<char, 65536> buffer;
  const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  if (n >= 0) return std::string(buffer.data(), static_cast<size_t>(n));
  throw Error({.code = "io.read",
               .file = "standard input",
               .expected = "to read it to its end",
               .found = std::strerror(errno)});
}

std::string read_standard_input(Session& session, const std::string& option, size_t max_bytes,
                                const std::string& too_long) {
  if (::isatty(STDIN_FILENO) == 1) session.note("Reading " + option + " from the terminal; Ctrl-D ends it");
  std::string text;
  for (std::string piece; !(piece = read_standard_input_piece()).empty();) {
    text += piece;
    if (text.size() > max_bytes) {
      throw Error({.code = too_long,
                   .file = "standard input",
                   .where = option,
                   .expected = "at most " + std::to_string(max_bytes) + " bytes",
                   .found = "more"});
    }
  }
  return text;
}

std::string read_prompt_input(Session& session, const std::string& option, size_t max_bytes) {
  std::string text = read_standard_input(session, option, max_bytes, "arg.prompt");
  if (text.empty()) {
    throw Error({.code = "arg.prompt",
                 .file = "standard input",
                 .where = option,
                 .expected = "some text",
                 .found = "none"});
  }
  return text;
}

}  // namespace safetylock::cli
