#include "cli/command_line.h"

#include <algorithm>
#include <iostream>
#include <string_view>

#include "cli/command_tree.h"
#include "cli/error_output.h"
#include "cli/suggest.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

constexpr int kUsage = 2;

/// --json must hold for errors in the rest of the command line too.
bool asks_for_json(int argc, char** argv) {
  return std::any_of(argv, argv + argc, [](const char* arg) { return std::string_view(arg) == "--json"; });
}

int usage_error(const CLI::App& app, const CLI::ParseError& error, bool json) {
  std::string hint = suggestion(app);
  hint += (hint.empty() ? "See " : " See ") + help_command(app);
  return report_error(Error({.code = "arg.usage", .found = complaint(app, error), .hint = std::move(hint)}),
                      json);
}

}  // namespace

int run(int argc, char** argv) {
  const bool json = asks_for_json(argc, argv);
  CommandTree tree;
  try {
    tree.app().parse(argc, argv);
    if (!tree.action()) {
      std::cerr << tree.app().help();
      return kUsage;
    }
    Session session(tree.common());
    const int code = tree.action()(session);
    // A full disk or a closed pipe behind standard output must not look like success.
    session.flush();
    return code;
  } catch (const CLI::Success& request) {
    return tree.app().exit(request);
  } catch (const CLI::ParseError& error) {
    return usage_error(tree.app(), error, json);
  } catch (...) {
    return report_exception(std::current_exception(), json);
  }
}

}  // namespace safetylock::cli
