#include "cli/completion.h"
#include "cli/help.h"
#include "cli/options.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

int run_completion(Session& session, const CLI::App& app, const std::string& shell) {
  const std::vector<CompletedCommand> commands = completed_commands(app);
  if (shell == "bash") {
    session.print(bash_completion(commands));
  } else if (shell == "zsh") {
    session.print(zsh_completion(commands));
  } else if (shell == "fish") {
    session.print(fish_completion(commands));
  } else {
    throw Error({.code = "arg.usage",
                 .where = "SHELL",
                 .expected = "bash, zsh or fish",
                 .found = "\"" + escape_untrusted(shell) + "\""});
  }
  return 0;
}

}  // namespace

void add_completion_command(CLI::App& app, CommonOptions& /*common*/, Action& action) {
  CLI::App* command =
      app.add_subcommand("completion", "Prints a script that completes commands in your shell");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "The shell to write for")->required()->type_name("bash|zsh|fish");
  teach(*command, Group::shell,
        {"eval \"$(safetylock completion bash)\"          # in ~/.bashrc",
         "safetylock completion fish > ~/.config/fish/completions/safetylock.fish"});
  command->callback([shell, &app, &action] {
    action = [shell, &app](Session& session) { return run_completion(session, app, *shell); };
  });
}

}  // namespace safetylock::cli
