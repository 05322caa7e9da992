#include "cli/extract/extraction.h"

#include "cli/evaluate_options.h"
#include "cli/interrupt.h"
#include "cli/table.h"
#include "safetylock/error.h"
#include "safetylock/prompt_data.h"

namespace safetylock::cli {
namespace {

class Stopwatch {
 public:
  /// Since construction or the last lap.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }
  double total() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now(), last_ = begin_;
};

}  // namespace

std::optional<double> Extraction::p_value(const HeadScore& head) const {
  if (!evidence.permutation) return std::nullopt;
  return evidence.permutation->p_value(head.accuracy);
}

std::optional<double> Extraction::top_k_share(const HeadScore& head) const {
  if (!evidence.stability) return std::nullopt;
  return evidence.stability->share[static_cast<size_t>(head.id.layer * heads_per_layer + head.id.head)];
}

SafetyLock extract(Session& session, ExtractOptions options, Extraction& result) {
  Stopwatch watch;
  const std::vector<PromptPair> pairs = load_first_pairs(options.pairs, options.max_pairs);
  std::vector<GatePrompt> gate_prompts;
  if (!options.gate.empty()) gate_prompts = load_gate_prompts(options.gate);
  const CausalLM model = session.load_model(options.model, {}, {}, options.max_memory);
  result.layers = model.config().num_hidden_layers;
  result.heads_per_layer = model.config().num_attention_heads;
  const std::int64_t all_heads = result.layers * result.heads_per_layer;
  if (options.derive.num_heads > all_heads) {
    throw Error({.code = "arg.range",
                 .where = "--heads",
                 .expected = "at most " + std::to_string(all_heads) + ", the heads of this model",
                 .found = std::to_string(options.derive.num_heads)});
  }
  result.seconds.load = watch.lap();
  check_interrupt();
  if (model.streamed()) {
    session.note("the weights (" + fixed(static_cast<double>(model.weight_bytes()) / 1e9, 1) +
                 " GB) stay in their files: layers are read one after the other, once");
  }

  options.collect.on_progress = session.progress();
  const HeadActivations activations = collect_head_activations(model, pairs, options.collect);
  result.seconds.collect = watch.lap();
  result.pairs = static_cast<std::int64_t>(pairs.size());
  result.rows = activations.values.size(0);
  result.tokens = activations.tokens;
  result.pairs_per_second = static_cast<double>(pairs.size()) / activations.seconds;
  check_interrupt();

  const auto seed = static_cast<std::uint64_t>(options.seed);
  RankOptions rank{.protocol = options.protocol, .seed = seed, .on_progress = session.progress()};
  result.ranking = rank_heads(activations, rank);
  result.seconds.rank = watch.lap();
  result.evidence = judge_ranking(activations, result.ranking,
                                  {.rank = rank,
                                   .k = options.derive.num_heads,
                                   .permutations = options.permutations,
                                   .stability_rounds = options.stability_rounds});
  result.seconds.evidence = watch.lap();
  check_interrupt();

  options.derive.protocol = options.protocol;
  options.derive.seed = seed;
  options.derive.default_alpha = options.alpha.value_or(options.derive.default_alpha);
  SafetyLock lock = derive_lock(activations, result.ranking, options.derive);
  result.seconds.derive = watch.lap();

  if (!gate_prompts.empty()) {
    GateCollectOptions collect{.system = options.collect.system,
                               .trust_special_tokens = options.collect.trust_special_tokens,
                               .clock = options.collect.clock,
                               .on_progress = session.progress()};
    GateOptions derive{
        .false_alarm_rate = options.gate_false_alarms, .seed = seed, .on_progress = session.progress()};
    result.gate = derive_gate(collect_gate_activations(model, gate_prompts, collect), derive);
    if (options.reread) {
      collect.openings = reply_openings();
      derive.positions = {{GatePosition::reply}};
      result.reply_gate = derive_gate(collect_gate_activations(model, gate_prompts, collect), derive);
    }
    lock = lock.with_gate(result.gate->gate,
                          result.reply_gate ? std::optional(result.reply_gate->gate) : std::nullopt);
    result.seconds.gate = watch.lap();
    check_interrupt();
  }

  if (!model.streamed()) result.check = causal_check(model, lock, session.progress());
  result.seconds.causal_check = watch.lap();
  result.seconds.total = watch.total();
  check_interrupt();
  return lock;
}

}  // namespace safetylock::cli
