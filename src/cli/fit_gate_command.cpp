#include "cli/date_option.h"
#include "cli/gated_lock.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/text_format.h"
#include "safetylock/derive_gate.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::string model, adapter, lock, gate, output;
  GateCollectOptions collect;
};

int run_fit_gate(Session& session, Options options) {
  check_utf8("--system", options.collect.system);
  check_can_write(options.output);
  const SafetyLock lock = load_gated_lock(options.lock, "--lock");
  const std::vector<GatePrompt> prompts = load_gate_prompts(options.gate);
  const CausalLM model = session.load_model(options.model, options.adapter,
                                            [&](const ModelConfig& config) { lock.check_fits(config); });
  check_interrupt();
  options.collect.on_progress = session.progress();
  const GateActivations activations = collect_gate_activations(model, prompts, options.collect);
  const Gate fitted = fit_gate(*lock.gate(), activations);
  const ScoreSpread before = spread_of(gate_scores(*lock.gate(), activations));
  check_interrupt();
  const SafetyLock result = lock.with_gate(fitted);
  result.save(options.output);
  const GateEvidence& on_base = fitted.evidence;
  if (session.json()) {
    session.print(json_text({{"schema", "safetylock.fit-gate/1"},
                             {"model", options.model},
                             {"adapter", text_or_null(options.adapter)},
                             {"lock", {{"path", options.lock}, {"digest", lock.content_digest()}}},
                             {"output", {{"path", options.output}, {"digest", result.content_digest()}}},
                             {"prompts", prompts.size()},
                             {"base", {{"mean", on_base.mean}, {"sd", on_base.sd}}},
                             {"tuned", {{"mean", before.mean}, {"sd", before.sd}}},
                             {"factor", on_base.sd / before.sd}}));
    return 0;
  }
  session.print(
      session.heading("Gate of " + one_line(options.output)) + "\n" +
      facts({{"on the base",
              text_format("scores of mean %+.2f, standard deviation %.2f", on_base.mean, on_base.sd)},
             {"here, before", text_format("mean %+.2f, standard deviation %.2f", before.mean, before.sd)},
             {"now", text_format("as on the base: scores times %.2f", on_base.sd / before.sd)}}));
  return 0;
}

}  // namespace

void add_fit_gate_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand(
      "fit-gate", "Fits a lock's gate to a fine-tuned model, from the prompts it was made from");
  const auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "GGUF file or Hugging Face folder")->required()->type_name("");
  command->add_option("--lock", options->lock, "Lock with a gate, made by extract --gate")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--gate", options->gate,
                   "The file that extract made the gate from; what it says of the prompts is not used")
      ->required()
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "The lock to write")->required()->type_name("LOCK");
  command->add_option("--adapter", options->adapter, "Folder of a PEFT LoRA adapter to merge into the model")
      ->type_name("DIR");
  command->add_option("--system", options->collect.system, "System prompt, as extract was given")
      ->type_name("TEXT");
  command->add_flag("--trust-special-tokens", options->collect.trust_special_tokens,
                    "Let control tokens in prompts be control tokens");
  add_date_option(*command, options->collect.clock);
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock fit-gate models/tuned --lock gated.lock.safetensors --gate data/gate.jsonl -o "
         "tuned.lock.safetensors"});
  command->callback([options, &action] {
    action = [options](Session& session) { return run_fit_gate(session, *options); };
  });
}

}  // namespace safetylock::cli
