// All subcommands with their options: what a command line is read by, helped with and completed from.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/options.h"

namespace safetylock::cli {

class CommandTree {
 public:
  CommandTree();
  CommandTree(const CommandTree&) = delete;
  CommandTree& operator=(const CommandTree&) = delete;

  CLI::App& app() noexcept { return app_; }
  const CommonOptions& common() const noexcept { return common_; }
  /// What the command line asks for; empty when it names no subcommand.
  const Action& action() const noexcept { return action_; }

 private:
  CLI::App app_;
  CommonOptions common_;
  Action action_;
};

}  // namespace safetylock::cli
