// The options that all subcommands share, and how option values are read.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/session.h"

namespace safetylock::cli {

/// Exit code of a check that failed, or of a threshold that was not met.
inline constexpr int kCheckFailed = 5;

/// What a subcommand does once the command line is read; returns the exit code.
using Action = std::function<int(Session&)>;

/// --device, --dtype, --threads, --json, --quiet, -v, --color.
void add_common_options(CLI::App& command, CommonOptions& common);

/// An option that holds an integer in [lo, hi]; else Error arg.range.
CLI::Option* add_integer(CLI::App& command, const std::string& name, std::int64_t& value, std::int64_t lo,
                         std::int64_t hi, const std::string& help);

/// An option that holds a number in [lo, hi]; else Error arg.range.
CLI::Option* add_number(CLI::App& command, const std::string& name, double& value, double lo, double hi,
                        const std::string& help);

/// An option that may be given several times, with one text each time.
CLI::Option* add_texts(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                       const std::string& help);

/// --alpha: a Strength; else Error arg.alpha.
CLI::Option* add_alpha(CLI::App& command, std::optional<double>& value, const std::string& help);

/// Error arg.prompt unless `text` is valid UTF-8.
void check_utf8(const std::string& option, const std::string& text);

/// The subcommands. Each stores its options where `action` finds them.
void add_inspect_command(CLI::App& app, CommonOptions& common, Action& action);
void add_extract_command(CLI::App& app, CommonOptions& common, Action& action);
void add_fit_gate_command(CLI::App& app, CommonOptions& common, Action& action);
void add_restore_command(CLI::App& app, CommonOptions& common, Action& action);
void add_generate_command(CLI::App& app, CommonOptions& common, Action& action);
void add_chat_command(CLI::App& app, CommonOptions& common, Action& action);
void add_evaluate_command(CLI::App& app, CommonOptions& common, Action& action);
void add_ablate_command(CLI::App& app, CommonOptions& common, Action& action);
void add_transfer_command(CLI::App& app, CommonOptions& common, Action& action);
void add_export_command(CLI::App& app, CommonOptions& common, Action& action);
void add_import_command(CLI::App& app, CommonOptions& common, Action& action);
void add_sweep_command(CLI::App& app, CommonOptions& common, Action& action);
void add_report_command(CLI::App& app, CommonOptions& common, Action& action);
void add_bake_command(CLI::App& app, CommonOptions& common, Action& action);
void add_verify_command(CLI::App& app, CommonOptions& common, Action& action);
void add_render_command(CLI::App& app, CommonOptions& common, Action& action);
void add_tokenize_command(CLI::App& app, CommonOptions& common, Action& action);
void add_doctor_command(CLI::App& app, CommonOptions& common, Action& action);
void add_completion_command(CLI::App& app, CommonOptions& common, Action& action);

}  // namespace safetylock::cli
