#include "cli/command_line.h"

#include <algorithm>
#include <iostream>
#include <string_view>

#include "cli/error_output.h"
#include "cli/options.h"
#include "safetylock/error.h"
#include "safetylock/version.h"

namespace safetylock::cli {
namespace {

constexpr const char* kFooter =
    "Results go to standard output, everything else to standard error.\n"
    "Exit codes: 0 ok, 1 runtime failure, 2 usage, 3 bad input file, 4 refused (the lock does not belong to\n"
    "this model), 5 a check failed, 130 interrupted.";

constexpr int kUsage = 2;

/// --json must hold for errors in the rest of the command line too.
bool asks_for_json(int argc, char** argv) {
  return std::any_of(argv, argv + argc, [](const char* arg) { return std::string_view(arg) == "--json"; });
}

int usage_error(const CLI::ParseError& error, bool json) {
  return report_error(Error({.code = "arg.usage",
                             .found = escape_untrusted(error.what()),
                             .hint = "See safetylock --help, or --help after a subcommand"}),
                      json);
}

}  // namespace

int run(int argc, char** argv) {
  const bool json = asks_for_json(argc, argv);
  CLI::App app("Restores the safety of fine-tuned language models: SafetyLock, arXiv 2410.10343",
               "safetylock");
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("safetylock ") + SAFETYLOCK_VERSION);
  app.require_subcommand(0, 1);
  CommonOptions common;
  Action action;
  add_inspect_command(app, common, action);
  add_extract_command(app, common, action);
  add_generate_command(app, common, action);
  add_evaluate_command(app, common, action);
  add_sweep_command(app, common, action);
  try {
    app.parse(argc, argv);
    if (!action) {
      std::cerr << app.help();
      return kUsage;
    }
    Session session(common);
    const int code = action(session);
    // A full disk or a closed pipe behind standard output must not look like success.
    session.flush();
    return code;
  } catch (const CLI::Success& request) {
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    return usage_error(error, json);
  } catch (...) {
    return report_exception(std::current_exception(), json);
  }
}

}  // namespace safetylock::cli
