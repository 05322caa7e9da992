#include "cli/chat/plain_lines.h"

#include "cli/options.h"
#include "cli/standard_input.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

constexpr size_t kMaxLineBytes = size_t{1} << 20;

}  // namespace

Line PlainLines::read(const Prompt&) {
  size_t end = unread_.find('\n');
  while (end == std::string::npos && !at_end_) {
    const std::string piece = read_standard_input_piece();
    at_end_ = piece.empty();
    end = piece.find('\n');
    if (end != std::string::npos) end += unread_.size();
    unread_ += piece;
    if (std::min(end, unread_.size()) <= kMaxLineBytes) continue;
    throw Error({.code = "arg.prompt",
                 .file = "standard input",
                 .where = "line " + std::to_string(lines_ + 1),
                 .expected = "at most " + std::to_string(kMaxLineBytes) + " bytes",
                 .found = "more"});
  }
  if (unread_.empty()) return {LineEnd::end_of_input, ""};
  Line line{LineEnd::entered, unread_.substr(0, end)};
  unread_.erase(0, end == std::string::npos ? end : end + 1);
  if (line.text.ends_with('\r')) line.text.pop_back();
  check_utf8("standard input, line " + std::to_string(++lines_), line.text);
  return line;
}

}  // namespace safetylock::cli
