#include "cli/date_option.h"
#include "cli/evaluate_options.h"
#include "cli/gated_lock.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/text_format.h"
#include "safetylock/restore.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::string model, adapter, base, pairs, gate_from, output;
  std::int64_t max_pairs = 0;
  std::optional<double> alpha;
  RestoreOptions restore;
};

void print(Session& session, const Options& options, const RestoredLock& restored, const SafetyLock& lock) {
  double before = 0, after = 0;
  size_t widest = 0;
  for (size_t l = 0; l < restored.layers.size(); ++l) {
    before += restored.layers[l].before;
    after += restored.layers[l].after;
    if (restored.layers[l].before > restored.layers[widest].before) widest = l;
  }
  if (session.json()) {
    Json layers = Json::array();
    for (const LayerGap& gap : restored.layers)
      layers.push_back({{"before", gap.before}, {"after", gap.after}});
    session.print(json_text({{"schema", "safetylock.restore/1"},
                             {"model", options.model},
                             {"adapter", text_or_null(options.adapter)},
                             {"base", options.base},
                             {"output", {{"path", options.output}, {"digest", lock.content_digest()}}},
                             {"heads", lock.heads().size()},
                             {"alpha", lock.default_strength().alpha()},
                             {"gate", lock.gate().has_value()},
                             {"layers", std::move(layers)}}));
    return;
  }
  session.print(
      session.heading("Restored in " + one_line(options.output)) + "\n" +
      facts({{"heads", text_format("%zu of %lld, in %zu layers", lock.heads().size(),
                                   static_cast<long long>(lock.identity().num_hidden_layers *
                                                          lock.identity().num_attention_heads),
                                   lock.layers().size())},
             {"drift", text_format("largest behind the attention of layer %zu: %.2f", widest,
                                   restored.layers[widest].before)},
             {"made good", text_format("%.0f %% of it, over all layers", 100 * (1 - after / before))},
             {"strength", text_format("%g; at 1 the means are the base's, sweep looks for more",
                                      lock.default_strength().alpha())},
             {"gate",
              lock.gate() ? "that of " + one_line(options.gate_from) : "none: acts on every request"}}));
}

int run_restore(Session& session, Options options) {
  check_utf8("--system", options.restore.system);
  check_can_write(options.output);
  options.restore.default_alpha = options.alpha.value_or(options.restore.default_alpha);
  std::optional<SafetyLock> gated;
  if (!options.gate_from.empty()) gated = load_gated_lock(options.gate_from, "--gate-from");
  const std::vector<PromptPair> pairs = load_first_pairs(options.pairs, options.max_pairs);
  options.restore.on_progress = session.progress();
  OpeningMeans means;
  {  // gone before the other is loaded: one model's memory is enough
    const CausalLM base = session.load_model(options.base);
    check_interrupt();
    means = read_opening_means(base, pairs, options.restore);
  }
  const CausalLM tuned = session.load_model(
      options.model, options.adapter, [&](const ModelConfig& config) { check_fits(means.identity, config); });
  check_interrupt();
  const RestoredLock restored = restore_lock(tuned, means, pairs, options.restore);
  check_interrupt();
  const SafetyLock lock = gated ? restored.lock.with_gate(gated->gate(), gated->reply_gate()) : restored.lock;
  lock.save(options.output);
  print(session, options, restored, lock);
  return 0;
}

}  // namespace

void add_restore_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand(
      "restore", "Derives a lock from what a fine-tune moved, base and fine-tuned model read");
  const auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "The fine-tuned model: GGUF file or Hugging Face folder")
      ->required()
      ->type_name("");
  command->add_option("--base", options->base, "Its base: GGUF file or Hugging Face folder")
      ->required()
      ->type_name("MODEL");
  command
      ->add_option("--pairs", options->pairs,
                   "Pairs of safe and unsafe replies, of which the safe ones are read: JSONL, JSON or CSV")
      ->required()
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "The lock to write")->required()->type_name("LOCK");
  command->add_option("--adapter", options->adapter, "Folder of a PEFT LoRA adapter to merge into the model")
      ->type_name("DIR");
  command
      ->add_option("--gate-from", options->gate_from,
                   "A lock whose gate the new one gets, fitted to the fine-tuned model by fit-gate")
      ->type_name("LOCK");
  add_integer(*command, "--tokens", options->restore.reply_tokens, 1, 4096,
              "First tokens of each safe reply to read (default 8)")
      ->type_name("N");
  add_integer(*command, "--max-pairs", options->max_pairs, 1, 1'000'000,
              "Only the first N pairs (default: all)")
      ->type_name("N");
  command->add_option("--system", options->restore.system, "System prompt (default: the template's own)")
      ->type_name("TEXT");
  command->add_flag("--trust-special-tokens", options->restore.trust_special_tokens,
                    "Let control tokens in pairs be control tokens");
  add_date_option(*command, options->restore.clock);
  add_alpha(*command, options->alpha, "Default strength stored in the lock (default 1: as the base was)");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock restore models/tuned --base models/base --pairs data/pairs.jsonl -o "
         "restored.lock.safetensors",
         "safetylock restore base.gguf --adapter tuned-lora --base base.gguf --pairs data/pairs.jsonl "
         "--gate-from fitted.lock.safetensors -o restored.lock.safetensors"});
  command->callback([options, &action] {
    action = [options](Session& session) { return run_restore(session, *options); };
  });
}

}  // namespace safetylock::cli
