#include "cli/completion.h"

#include <sstream>

namespace safetylock::cli {
namespace {

/// "auto|cpu|cuda|cuda:N": the values that stand for themselves.
std::vector<std::string> choices_of(const std::string& type) {
  std::vector<std::string> choices;
  std::istringstream parts(type);
  for (std::string part; std::getline(parts, part, '|');)
    if (part.find(':') == std::string::npos) choices.push_back(part);
  return choices;
}

ValueKind kind_of(const std::string& type, bool argument) {
  if (type.find('|') != std::string::npos) return ValueKind::choice;
  if (type == "DIR") return ValueKind::folder;
  if (type == "FILE" || type == "LOCK" || (argument && type.empty())) return ValueKind::file;
  return ValueKind::text;
}

CompletedOption completed(const CLI::Option& option) {
  CompletedOption result;
  const bool argument = option.get_positional();
  if (argument) result.names.push_back(option.get_name(true, false));
  for (const std::string& name : option.get_snames()) result.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) result.names.push_back("--" + name);
  result.description = option.get_description();
  if (option.get_items_expected_max() == 0) return result;  // a flag
  result.value = kind_of(option.get_type_name(), argument);
  if (result.value == ValueKind::choice) result.choices = choices_of(option.get_type_name());
  return result;
}

CompletedCommand completed(const CLI::App& app, const std::string& name) {
  CompletedCommand command{
      .name = name, .description = app.get_description(), .options = {}, .arguments = {}};
  for (const CLI::Option* option : app.get_options())
    (option->get_positional() ? command.arguments : command.options).push_back(completed(*option));
  return command;
}

}  // namespace

std::vector<CompletedCommand> completed_commands(const CLI::App& app) {
  std::vector<CompletedCommand> commands = {completed(app, "")};
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    commands.push_back(completed(*command, command->get_name()));
  return commands;
}

}  // namespace safetylock::cli
