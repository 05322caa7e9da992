#include "cli/options.h"

#include <limits>

#include "base/utf8.h"
#include "cli/help.h"
#include "cli/number_text.h"
#include "safetylock/error.h"
#include "safetylock/strength.h"

namespace safetylock::cli {
namespace {

constexpr std::int64_t kMaxThreads = 1024;

ColourMode colour_mode(const std::string& text) {
  if (text == "auto") return ColourMode::automatic;
  if (text == "on") return ColourMode::on;
  if (text == "off") return ColourMode::off;
  throw Error({.code = "arg.usage",
               .where = "--color",
               .expected = "auto, on or off",
               .found = "\"" + escape_untrusted(text) + "\""});
}

/// An option read by `read`, whose errors leave the parser as they are.
CLI::Option* add_read_option(CLI::App& command, const std::string& name, const std::string& type,
                             const std::string& help, std::function<void(const std::string&)> read) {
  CLI::Option* option = command.add_option_function<std::string>(name, std::move(read), help);
  return option->type_name(type);
}

}  // namespace

CLI::Option* add_integer(CLI::App& command, const std::string& name, std::int64_t& value, std::int64_t lo,
                         std::int64_t hi, const std::string& help) {
  return add_read_option(command, name, "N", help, [&value, name, lo, hi](const std::string& text) {
    value = parse_integer(name, text, lo, hi);
  });
}

CLI::Option* add_number(CLI::App& command, const std::string& name, double& value, double lo, double hi,
                        const std::string& help) {
  return add_read_option(command, name, "X", help, [&value, name, lo, hi](const std::string& text) {
    value = parse_number(name, text, lo, hi);
  });
}

CLI::Option* add_texts(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                       const std::string& help) {
  // Without extra arguments, or CLI11 would take "[a,b]" for a list and what follows for more values.
  CLI::callback_t keep = [&values](const CLI::results_t& texts) {
    values = texts;
    return true;
  };
  CLI::Option* option = command.add_option(name, std::move(keep), help);
  return option->type_name("TEXT")->take_all()->allow_extra_args(false);
}

CLI::Option* add_alpha(CLI::App& command, std::optional<double>& value, const std::string& help) {
  return add_read_option(command, "--alpha", "A", help,
                         [&value](const std::string& text) { value = parse_alpha(text); });
}

void add_common_options(CLI::App& command, CommonOptions& common) {
  const CLI::OptionDefaults before = *command.option_defaults();
  command.option_defaults()->group(kCommonOptions);
  command
      .add_option("--device", common.device, "Where the model runs (default auto: CUDA when there is one)")
      ->type_name("auto|cpu|cuda|cuda:N");
  command
      .add_option("--dtype", common.dtype,
                  "Type of the weights (default auto: bfloat16 where the hardware computes it, else float32)")
      ->type_name("auto|float32|bfloat16|float16");
  add_read_option(command, "--threads", "N", "CPU threads (default: all)",
                  [&common](const std::string& text) {
                    common.threads = parse_integer("--threads", text, 1, kMaxThreads, "arg.threads");
                  });
  command.add_flag("--json", common.json, "One JSON object on standard output");
  command.add_flag("--quiet", common.quiet, "No progress and no notes");
  command.add_flag("-v,--verbose", common.verbosity, "Say more; twice for everything");
  add_read_option(command, "--color", "auto|on|off", "Colours (default auto: on terminals)",
                  [&common](const std::string& text) { common.colour = colour_mode(text); });
  *command.option_defaults() = before;
}

void check_utf8(const std::string& option, const std::string& text) {
  const auto offset = utf8::find_invalid(text);
  if (!offset) return;
  throw Error({.code = "arg.prompt",
               .where = option + ", byte " + std::to_string(*offset),
               .expected = "valid UTF-8",
               .found = escape_untrusted(std::string_view(text).substr(*offset, 4))});
}

}  // namespace safetylock::cli
