#include "cli/chat/input.h"

#include <optional>
#include <string_view>

namespace safetylock::cli {
namespace {

constexpr std::string_view kFence = "\"\"\"";

/// The next line of a message; nothing when there is none.
std::optional<std::string> next_line(LineSource& lines, ChatInput& input) {
  Line line = lines.read({"...", Style::dim});
  if (line.end == LineEnd::entered) return std::move(line.text);
  input = {line.end == LineEnd::cancelled ? ChatInputKind::nothing : ChatInputKind::cut_off, ""};
  return std::nullopt;
}

ChatInput message(std::string text) {
  if (text.find_first_not_of(" \t\n") == std::string::npos) return {ChatInputKind::nothing, ""};
  return {ChatInputKind::message, std::move(text)};
}

ChatInput read_block(LineSource& lines, std::string text) {
  ChatInput input{ChatInputKind::nothing, ""};
  while (!text.ends_with(kFence)) {
    const std::optional<std::string> more = next_line(lines, input);
    if (!more) return input;
    text += "\n" + *more;
  }
  text.resize(text.size() - kFence.size());
  if (text.ends_with('\n')) text.pop_back();
  if (text.starts_with('\n')) text.erase(0, 1);
  return message(std::move(text));
}

}  // namespace

ChatInput read_chat_input(LineSource& lines, const Prompt& prompt) {
  Line line = lines.read(prompt);
  std::string text = std::move(line.text);
  if (line.end == LineEnd::end_of_input) return {ChatInputKind::end, ""};
  if (line.end == LineEnd::cancelled)
    return {text.empty() ? ChatInputKind::cancelled : ChatInputKind::nothing, ""};
  if (text.starts_with(kFence)) return read_block(lines, text.substr(kFence.size()));
  ChatInput input{ChatInputKind::nothing, ""};
  while (text.ends_with('\\')) {
    const std::optional<std::string> more = next_line(lines, input);
    if (!more) return input;
    text.back() = '\n';
    text += *more;
  }
  if (text.starts_with("//")) return message(text.substr(1));
  if (text.starts_with('/')) return {ChatInputKind::command, std::move(text)};
  return message(std::move(text));
}

}  // namespace safetylock::cli
