#include "cli/help.h"

#include <sstream>

namespace safetylock::cli {
namespace {

constexpr size_t kNameColumn = 34;
constexpr size_t kTextColumn = 70;
constexpr const char* kExamples = "Examples:\n";
constexpr const char* kIndent = "  ";

const char* title(Group group) {
  switch (group) {
    case Group::begin:
      return "Look around";
    case Group::locks:
      return "Make a lock, use it, judge it";
    case Group::look:
      return "See what a model reads";
    case Group::shell:
      return "Your shell";
  }
  return "";
}

}  // namespace

void teach(CLI::App& command, Group group, const std::vector<std::string>& examples) {
  command.group(title(group));
  std::string text = kExamples;
  for (const std::string& example : examples) text += kIndent + example + "\n";
  text.pop_back();
  command.footer(text);
}

std::vector<std::string> examples_of(const CLI::App& command) {
  std::istringstream lines(command.get_footer());
  std::vector<std::string> examples;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(kIndent)) examples.push_back(line.substr(std::string(kIndent).size()));
  return examples;
}

HelpFormatter::HelpFormatter() {
  column_width(kNameColumn);
  label("REQUIRED", "(required)");
  label("OPTIONS", "options");
  label("SUBCOMMAND", "COMMAND");
  label("Positionals", "Arguments");
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  std::istringstream words(option->get_description());
  std::string text;
  size_t column = 0;
  for (std::string word; words >> word;) {
    const bool fits = column + 1 + word.size() <= kTextColumn;
    if (!text.empty()) text += fits ? ' ' : '\n';
    column = fits && !text.empty() ? column + 1 + word.size() : word.size();
    text += word;
  }
  return text;
}

std::string HelpFormatter::make_group(std::string group, bool is_positional,
                                      std::vector<const CLI::Option*> options) const {
  // CLI11 puts an empty line after a group and another one before the next.
  const bool second = group == kCommonOptions;
  return CLI::Formatter::make_group(std::move(group), is_positional, std::move(options))
      .substr(second ? 1 : 0);
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  return "\n" + CLI::Formatter::make_usage(app, std::move(name));
}

}  // namespace safetylock::cli
