#include "cli/suggest.h"

#include <algorithm>

#include "base/edit_distance.h"
#include "cli/printable.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

constexpr size_t kShownArgument = 100;

const CLI::App& named_command(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return parsed.empty() ? app : *parsed.front();
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::string shown(const std::string& argument) {
  return quoted_piece(argument.substr(0, kShownArgument));
}

}  // namespace

std::optional<std::string> meant(const std::string& typed, const std::vector<std::string>& names) {
  const size_t dashes = typed.find_first_not_of('-');
  if (dashes == std::string::npos) return std::nullopt;
  const size_t length = typed.size() - dashes;
  std::optional<std::string> best;
  size_t least = std::max<size_t>(1, length / 3) + 1;
  for (const std::string& name : names) {
    if (length >= 2 && name.starts_with(typed)) return name;
    const size_t distance = edit_distance(typed, name);
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return best;
}

std::string suggestion(const CLI::App& app) {
  const CLI::App& command = named_command(app);
  for (const std::string& argument : app.remaining(true)) {
    const bool option = argument.starts_with("-");
    if (!option && &command != &app) continue;  // a value that has lost its option
    const std::string typed = argument.substr(0, argument.find('='));
    const auto name = meant(typed, option ? option_names(command) : command_names(app));
    if (name) return shown(typed) + " is unknown: did you mean " + *name + "?";
  }
  return "";
}

std::string complaint(const CLI::App& app, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr) return escape_untrusted(error.what());
  const CLI::App& command = named_command(app);
  for (const std::string& argument : app.remaining(true)) {
    if (argument.starts_with("-")) return "the unknown option " + shown(argument);
    if (&command == &app) return "the unknown command " + shown(argument);
  }
  std::string surplus;
  for (const std::string& argument : app.remaining(true)) surplus += " " + shown(argument);
  return "what " + command.get_name() + " does not take:" + surplus;
}

std::string help_command(const CLI::App& app) {
  const CLI::App& command = named_command(app);
  return "safetylock " + (&command == &app ? "" : command.get_name() + " ") + "--help";
}

}  // namespace safetylock::cli
