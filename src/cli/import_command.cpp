#include "cli/help.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "formats/base_config.h"
#include "safetylock/error.h"
#include "safetylock/published_lock.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::string file, base, output;
  std::optional<double> alpha;
};

Json import_json(const Options& options, const SafetyLock& lock) {
  Json heads = Json::array();
  for (const HeadDirection& head : lock.heads())
    heads.push_back({{"layer", head.id.layer}, {"head", head.id.head}, {"sigma", head.sigma}});
  return {{"schema", "safetylock.import/1"},
          {"file", options.file},
          {"lock", options.output},
          {"lock_digest", lock.content_digest()},
          {"architecture", lock.identity().architecture},
          {"base_model", lock.identity().base_model},
          {"alpha", lock.default_strength().alpha()},
          {"heads", std::move(heads)}};
}

std::string report(const Session& session, const Options& options, const SafetyLock& lock) {
  const LockIdentity& id = lock.identity();
  return session.heading("Lock " + one_line(options.output)) + "\n" +
         facts({{"heads", std::to_string(lock.heads().size()) + " in " +
                              std::to_string(lock.layers().size()) + " layers"},
                {"for", one_line(id.architecture) + ", " + std::to_string(id.num_hidden_layers) +
                            " layers, " + std::to_string(id.num_attention_heads) + " heads of " +
                            std::to_string(id.head_dim)},
                {"default alpha", fixed(lock.default_strength().alpha(), 2)},
                {"digest", lock.content_digest()}});
}

int run_import(Session& session, const Options& options) {
  if (options.base.empty()) {
    throw Error({.code = "arg.usage",
                 .where = "--base",
                 .expected = "the model that the lock was made for, or its config.json",
                 .found = "nothing",
                 .hint = "A published lock names no model, and a lock is applied to its own family only"});
  }
  check_can_write(options.output);
  ImportOptions import{.base_model = base_config_name(options.base)};
  import.default_alpha = options.alpha.value_or(import.default_alpha);
  const SafetyLock lock = import_published_lock(options.file, read_base_config(options.base), import);
  lock.save(options.output);
  session.print(session.json() ? json_text(import_json(options, lock)) : report(session, options, lock));
  return 0;
}

}  // namespace

void add_import_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("import", "Makes a lock of one that the paper's authors published");
  const auto options = std::make_shared<Options>();
  command->add_option("FILE", options->file, "Published lock, NAME.safelock")->required()->type_name("");
  command->add_option("--base", options->base, "Model it was made for, or just its config.json")
      ->type_name("MODEL");
  command->add_option("-o,--output", options->output, "The lock to write")->required()->type_name("LOCK");
  add_alpha(*command, options->alpha, "Default strength stored in the lock, in units of sigma (default 6)");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock import llama-3-8b.safelock --base models/base -o base.lock.safetensors",
         "safetylock import llama-3-8b.safelock --base models/base/config.json -o base.lock.safetensors "
         "--json"});
  command->callback(
      [options, &action] { action = [options](Session& session) { return run_import(session, *options); }; });
}

}  // namespace safetylock::cli
