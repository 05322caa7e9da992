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

struct Fitted {
  Gate gate;
  ScoreSpread before;  ///< of its scores on this model, unfitted

  double factor() const { return gate.evidence.sd / before.sd; }
};

Fitted fitted(const CausalLM& model, const Gate& gate, const std::vector<GatePrompt>& prompts,
              const GateCollectOptions& options) {
  const GateActivations activations = collect_gate_activations(model, prompts, options);
  return {fit_gate(gate, activations), spread_of(gate_scores(gate, activations))};
}

Json to_json(const Fitted& fitted) {
  const GateEvidence& on_base = fitted.gate.evidence;
  return {{"base", {{"mean", on_base.mean}, {"sd", on_base.sd}}},
          {"tuned", {{"mean", fitted.before.mean}, {"sd", fitted.before.sd}}},
          {"factor", fitted.factor()}};
}

std::string report(const Fitted& fitted) {
  const GateEvidence& on_base = fitted.gate.evidence;
  return facts({{"on the base",
                 text_format("scores of mean %+.2f, standard deviation %.2f", on_base.mean, on_base.sd)},
                {"here, before",
                 text_format("mean %+.2f, standard deviation %.2f", fitted.before.mean, fitted.before.sd)},
                {"now", text_format("as on the base: scores times %.2f", fitted.factor())}});
}

int run_fit_gate(Session& session, Options options) {
  check_utf8("--system", options.collect.system);
  check_can_write(options.output);
  const SafetyLock lock = load_gated_lock(options.lock, "--lock");
  const std::vector<GatePrompt> prompts = load_gate_prompts(options.gate);
  check_gate_prompts(*lock.gate(), digest_of(prompts, {}));
  if (lock.reply_gate()) check_gate_prompts(*lock.reply_gate(), digest_of(prompts, reply_openings()));
  const CausalLM model = session.load_model(options.model, options.adapter,
                                            [&](const ModelConfig& config) { lock.check_fits(config); });
  check_interrupt();
  options.collect.on_progress = session.progress();
  const Fitted prompt = fitted(model, *lock.gate(), prompts, options.collect);
  std::optional<Fitted> reply;
  if (lock.reply_gate()) {
    check_interrupt();
    options.collect.openings = reply_openings();
    reply = fitted(model, *lock.reply_gate(), prompts, options.collect);
  }
  check_interrupt();
  const SafetyLock result = lock.with_gate(prompt.gate, reply ? std::optional(reply->gate) : std::nullopt);
  result.save(options.output);
  if (session.json()) {
    Json out = {{"schema", "safetylock.fit-gate/1"},
                {"model", options.model},
                {"adapter", text_or_null(options.adapter)},
                {"lock", {{"path", options.lock}, {"digest", lock.content_digest()}}},
                {"output", {{"path", options.output}, {"digest", result.content_digest()}}},
                {"prompts", prompts.size()}};
    out.update(to_json(prompt));
    out["reply_gate"] = reply ? to_json(*reply) : Json(nullptr);
    session.print(json_text(out));
    return 0;
  }
  session.print(session.heading("Gate of " + one_line(options.output)) + "\n" + report(prompt));
  if (reply) session.print(session.heading("Gate of replies") + "\n" + report(*reply));
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
