// How --help is laid out, and what each subcommand's help teaches.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace safetylock::cli {

/// Groups of subcommands, in the order in which the top-level help shows them.
enum class Group { begin, locks, look, shell };

/// Puts `command` in its group and `examples`, whole command lines, below its help.
void teach(CLI::App& command, Group group, const std::vector<std::string>& examples);

/// The command lines that `teach` put there.
std::vector<std::string> examples_of(const CLI::App& command);

/// The options that all subcommands share.
inline constexpr const char* kCommonOptions = "Common options";

/// CLI11's layout, with descriptions broken at words.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_option_desc(const CLI::Option* option) const override;
  std::string make_group(std::string group, bool is_positional,
                         std::vector<const CLI::Option*> options) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
};

}  // namespace safetylock::cli
