#include "cli/command_tree.h"

#include "cli/help.h"
#include "safetylock/version.h"

namespace safetylock::cli {
namespace {

constexpr const char* kDescription =
    "Restores the safety of fine-tuned language models: SafetyLock, arXiv 2410.10343.";

constexpr const char* kFooter =
    "Where to begin:\n"
    "  safetylock doctor                                   what this machine can do, what is missing\n"
    "  safetylock extract BASE --pairs data/pairs.jsonl -o base.lock.safetensors\n"
    "  safetylock generate TUNED --lock base.lock.safetensors --prompt \"How do I pick a lock?\"\n"
    "  safetylock COMMAND --help                           options and examples of a command\n"
    "\n"
    "Results go to standard output, everything else to standard error.\n"
    "Exit codes: 0 ok, 1 runtime failure, 2 usage, 3 bad input file, 4 refused (the lock does not belong to\n"
    "this model), 5 a check failed, 130 interrupted.";

}  // namespace

CommandTree::CommandTree() : app_(kDescription, "safetylock") {
  app_.formatter(std::make_shared<HelpFormatter>());
  app_.footer(kFooter);
  app_.set_version_flag("--version", std::string("safetylock ") + SAFETYLOCK_VERSION);
  app_.require_subcommand(0, 1);
  add_doctor_command(app_, common_, action_);
  add_inspect_command(app_, common_, action_);
  add_extract_command(app_, common_, action_);
  add_fit_gate_command(app_, common_, action_);
  add_restore_command(app_, common_, action_);
  add_generate_command(app_, common_, action_);
  add_chat_command(app_, common_, action_);
  add_evaluate_command(app_, common_, action_);
  add_transfer_command(app_, common_, action_);
  add_sweep_command(app_, common_, action_);
  add_ablate_command(app_, common_, action_);
  add_report_command(app_, common_, action_);
  add_bake_command(app_, common_, action_);
  add_verify_command(app_, common_, action_);
  add_import_command(app_, common_, action_);
  add_export_command(app_, common_, action_);
  add_render_command(app_, common_, action_);
  add_tokenize_command(app_, common_, action_);
  add_completion_command(app_, common_, action_);
}

}  // namespace safetylock::cli
