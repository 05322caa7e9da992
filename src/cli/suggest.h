// "Did you mean ...?" for names that no subcommand and no option has.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

namespace safetylock::cli {

/// The one of `names` that `typed` was most likely meant to be: the shortest that it begins, or the nearest
/// when it is near enough.
std::optional<std::string> meant(const std::string& typed, const std::vector<std::string>& names);

/// Says which subcommand or option was meant by the unknown one of a command line that `app` has failed to
/// parse. Empty where none is unknown, or nothing is near.
std::string suggestion(const CLI::App& app);

/// "the unknown command "genrate"": what `error` complains of, in the words of the command line.
std::string complaint(const CLI::App& app, const CLI::ParseError& error);

/// "safetylock extract --help", or of the tool itself when no subcommand was named.
std::string help_command(const CLI::App& app);

}  // namespace safetylock::cli
