// Completion scripts, made from the tool's own tree of subcommands and options: they cannot go stale.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace safetylock::cli {

enum class ValueKind { none, text, file, folder, choice };

/// An option or an argument, as a shell needs to know it.
struct CompletedOption {
  std::vector<std::string> names;  ///< "--lock", "-o"; for an argument its name, "MODEL"
  std::string description;
  ValueKind value = ValueKind::none;
  std::vector<std::string> choices;  ///< of ValueKind::choice
};

struct CompletedCommand {
  std::string name;  ///< empty for the tool itself
  std::string description;
  std::vector<CompletedOption> options;    ///< begin with a dash
  std::vector<CompletedOption> arguments;  ///< in order
};

/// The tool itself, then its subcommands. What an option takes is read from the type that its help shows:
/// FILE and LOCK are files, DIR folders, "a|b|c" choices.
std::vector<CompletedCommand> completed_commands(const CLI::App& app);

std::string bash_completion(const std::vector<CompletedCommand>& commands);
std::string zsh_completion(const std::vector<CompletedCommand>& commands);
std::string fish_completion(const std::vector<CompletedCommand>& commands);

}  // namespace safetylock::cli
