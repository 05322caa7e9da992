#include "cli/help.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/text_format.h"
#include "safetylock/bake.h"
#include "safetylock/make_probes.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::string model, lock, output;
  BakeOptions bake;
  bool no_probes = false;
};

/// What verify.json says: computed on the model that was given, with the lock applied to it.
std::string probes_text(Session& session, const Options& options, const SafetyLock& lock) {
  const CausalLM model = session.load_model(options.model, options.bake.adapter);
  session.note("computing the probes of verify.json");
  const double alpha = options.bake.alpha.value_or(lock.default_strength().alpha());
  return probes_to_json(make_verify_probes(model, lock, alpha));
}

Json report_json(const BakeReport& r, const Options& options, const SafetyLock& lock) {
  Json engines = Json::array();
  for (const EngineVerdict& v : r.engines)
    engines.push_back({{"engine", v.engine}, {"verdict", to_string(v.support)}, {"why", v.why}});
  return {{"schema", "safetylock.bake/1"},
          {"model", options.model},
          {"output", r.output},
          {"adapter", text_or_null(options.bake.adapter)},
          {"lock",
           {{"path", options.lock},
            {"digest", lock.content_digest()},
            {"alpha", r.alpha},
            {"heads", lock.heads().size()}}},
          {"architecture", r.architecture},
          {"base_architecture", r.base_architecture},
          {"layers", r.layers},
          {"largest_bias", r.largest_bias},
          {"bytes_read", r.bytes_read},
          {"bytes_written", r.bytes_written},
          {"bytes_shared", r.bytes_shared},
          {"sharing", r.sharing},
          {"engines", std::move(engines)},
          {"notes", r.notes},
          {"seconds", r.seconds}};
}

std::string report_text(Session& session, const BakeReport& r, const SafetyLock& lock) {
  const auto megabytes = [](std::uint64_t bytes) {
    return text_format("%.1f MB", static_cast<double>(bytes) / 1e6);
  };
  std::string text = session.heading(printable(r.output)) + "\n";
  text += facts(
      {{"class", r.architecture == r.base_architecture ? r.architecture
                                                       : r.architecture + ", before " + r.base_architecture},
       {"lock", std::to_string(lock.heads().size()) + " heads in " + std::to_string(r.layers.size()) +
                    " layers, strength " + text_format("%g", r.alpha)},
       {"weights", megabytes(r.bytes_written) + " written, " + megabytes(r.bytes_shared) + " shared (" +
                       r.sharing + "), " + megabytes(r.bytes_read) + " read"},
       {"time", text_format("%.2f s", r.seconds)}});
  text += session.heading("Engines") + "\n";
  std::vector<Fact> engines;
  for (const EngineVerdict& v : r.engines)
    engines.emplace_back(v.engine, to_string(v.support) + ": " + v.why);
  return text + facts(engines);
}

int run_bake(Session& session, Options options) {
  const SafetyLock lock = SafetyLock::load(options.lock);
  options.bake.on_progress = session.progress();
  if (!options.no_probes) options.bake.make_probes = [&] { return probes_text(session, options, lock); };
  const BakeReport report = bake_lock(options.model, lock, options.output, options.bake);
  for (const std::string& note : report.notes) session.note("note: " + note);
  session.print(session.json() ? json_text(report_json(report, options, lock))
                               : report_text(session, report, lock));
  return 0;
}

}  // namespace

void add_bake_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command =
      app.add_subcommand("bake", "Writes a lock into a model's files, for any engine to serve");
  const auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "Hugging Face folder or GGUF file")->required()->type_name("");
  command->add_option("--lock", options->lock, "Lock made by extract")->required()->type_name("FILE");
  command
      ->add_option("-o,--output", options->output,
                   "Folder to make, or for a GGUF model the GGUF file; nothing is overwritten")
      ->required()
      ->type_name("PATH");
  add_alpha(*command, options->bake.alpha,
            "Strength of the lock, in units of sigma (default: what the lock says)");
  command->add_flag("--no-gate", options->bake.without_gate,
                    "Bake a lock that has a gate to act on every request (else it is refused)");
  command
      ->add_option("--adapter", options->bake.adapter,
                   "Folder of the PEFT LoRA adapter that the result is to be served with")
      ->type_name("DIR");
  command->add_flag("--copy", options->bake.copy,
                    "Copy the weights (default: share them with MODEL where the file system can)");
  command->add_flag("--no-probes", options->no_probes,
                    "Write no verify.json, for which the whole model is loaded and run");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock bake models/tuned --lock base.lock.safetensors -o models/tuned-locked",
         "safetylock bake tuned.gguf --lock base.lock.safetensors --alpha 4 -o tuned-locked.gguf"});
  command->callback(
      [options, &action] { action = [options](Session& session) { return run_bake(session, *options); }; });
}

}  // namespace safetylock::cli
