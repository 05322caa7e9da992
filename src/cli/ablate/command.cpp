#include <algorithm>
#include <chrono>
#include <utility>

#include "base/file.h"
#include "cli/ablate/output.h"
#include "cli/date_option.h"
#include "cli/evaluate_options.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/number_text.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/table.h"
#include "formats/adapted_model.h"
#include "formats/model_folder.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::string model, pairs, harmful, benign, output;
  std::vector<std::string> adapters;
  std::vector<std::string> tokens, heads, sigma, directions, rows, phases;  ///< empty: the defaults
  std::string match = "push";
  bool full = false;
  std::int64_t max_pairs = 0, first = 0;  ///< 0: all
  std::int64_t seed = 0, max_new_tokens = 0;
  std::optional<double> alpha;
  CollectOptions collect;
  EvaluateOptions evaluate;
};

template <typename T>
using Names = std::vector<std::pair<std::string, T>>;

template <typename T>
T parse_name(const std::string& option, const std::string& text, const Names<T>& names) {
  std::string expected;
  for (const auto& [name, value] : names) {
    if (name == text) return value;
    expected += (expected.empty() ? "" : " or ") + name;
  }
  throw Error({.code = "arg.range",
               .where = option,
               .expected = expected,
               .found = "\"" + escape_untrusted(text, 40) + "\""});
}

/// Replaces `values` when anything was given.
template <typename T, typename F>
void read_list(const std::vector<std::string>& texts, std::vector<T>& values, const F& parse) {
  if (!texts.empty()) values.clear();
  for (const std::string& text : texts) values.push_back(parse(text));
}

AblationFactors read_factors(const Options& options) {
  AblationFactors factors;
  const auto integer = [](const char* option) {
    return [option](const std::string& text) { return parse_integer(option, text, 1, 1 << 20); };
  };
  read_list(options.tokens, factors.tokens, integer("--tokens"));
  read_list(options.heads, factors.num_heads, integer("--heads"));
  read_list(options.sigma, factors.sigma, [](const std::string& text) {
    return parse_name<bool>("--sigma", text, {{"on", true}, {"off", false}});
  });
  read_list(options.directions, factors.directions, [](const std::string& text) {
    return parse_name<DirectionKind>(
        "--direction", text,
        {{"mean-difference", DirectionKind::mean_difference}, {"probe-weight", DirectionKind::probe_weight}});
  });
  read_list(options.rows, factors.rows, [](const std::string& text) {
    return parse_name<RowKind>("--rows", text, {{"token", RowKind::token}, {"mean", RowKind::mean}});
  });
  read_list(options.phases, factors.phases, [](const std::string& text) {
    return parse_name<Phase>("--phase", text,
                             {{"both", Phase::both}, {"prompt", Phase::prompt}, {"reply", Phase::reply}});
  });
  return factors;
}

void check_heads(const ModelConfig& config, const AblationFactors& factors) {
  const std::int64_t all = config.num_hidden_layers * config.num_attention_heads;
  const std::int64_t most = *std::max_element(factors.num_heads.begin(), factors.num_heads.end());
  if (most <= all) return;
  throw Error({.code = "arg.range",
               .where = "--heads",
               .expected = "at most " + std::to_string(all) + ", the heads of this model",
               .found = std::to_string(most)});
}

/// Throws what loading the model with the adapter would: before the locks are made, not after it.
void check_adapter(const std::string& model, const std::string& adapter) {
  const std::unique_ptr<const Checkpoint> base = Checkpoint::open(model);
  adapted_model(load_lora(resolve_model_path(adapter)), *base);
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

class Run {
 public:
  Run(Session& session, Options options)
      : session_(session), options_(std::move(options)), factors_(read_factors(options_)) {}

  int run() {
    check_utf8("--system", options_.collect.system);
    if (!options_.output.empty()) check_can_write(options_.output);
    if (options_.alpha && (*options_.alpha <= 0 || *options_.alpha > SafetyLock::kDefaultAlphaMax)) {
      throw Error({.code = "arg.alpha",
                   .where = "--alpha",
                   .expected = "a strength above 0 and up to " + fixed(SafetyLock::kDefaultAlphaMax, 0),
                   .found = fixed(*options_.alpha, 3)});
    }
    harmful_ = load_first_prompts(options_.harmful, options_.first);
    benign_ = load_first_prompts(options_.benign, options_.first);
    prepare();
    for (const std::string& adapter : options_.adapters) check_adapter(options_.model, adapter);
    {
      // The base goes before a target is loaded.
      const CausalLM base = session_.load_model(
          options_.model, "", [&](const ModelConfig& config) { check_heads(config, factors_); });
      check_interrupt();
      derive(base);
      if (options_.adapters.empty()) measure(base, "");
    }
    for (const std::string& adapter : options_.adapters)
      measure(session_.load_model(options_.model, adapter), adapter);
    const Json json = ablation_json(ablation_);
    if (!options_.output.empty()) write_file_atomically(options_.output, json_text(json));
    session_.print(session_.json() ? json_text(json) : ablation_report(session_, ablation_));
    return 0;
  }

 private:
  void prepare() {
    options_.collect.tokens_per_reply = *std::max_element(factors_.tokens.begin(), factors_.tokens.end());
    options_.collect.on_progress = session_.progress();
    options_.evaluate.system = options_.collect.system;
    options_.evaluate.trust_special_tokens = options_.collect.trust_special_tokens;
    options_.evaluate.margin_only = options_.max_new_tokens == 0;
    if (options_.max_new_tokens > 0) options_.evaluate.max_new_tokens = options_.max_new_tokens;
    options_.evaluate.on_progress = session_.progress();
    ablation_.model = options_.model;
    ablation_.pairs = options_.pairs;
    ablation_.harmful = options_.harmful;
    ablation_.benign = options_.benign;
    ablation_.seed = static_cast<std::uint64_t>(options_.seed);
    ablation_.max_new_tokens = options_.max_new_tokens;
    ablation_.match_push = parse_name<bool>("--match", options_.match, {{"push", true}, {"alpha", false}});
    pairs_ = load_first_pairs(options_.pairs, options_.max_pairs);
    ablation_.pair_count = static_cast<std::int64_t>(pairs_.size());
  }

  /// The model is read once, for the most tokens: every variant's rows are among these.
  void derive(const CausalLM& base) {
    const HeadActivations activations = collect_head_activations(base, pairs_, options_.collect);
    ablation_.collect_seconds = activations.seconds;
    ablation_.pairs_digest = activations.provenance.pairs_digest;
    const auto begin = std::chrono::steady_clock::now();
    AblationOptions ablate{.rank = {.seed = ablation_.seed, .on_progress = session_.progress()},
                           .match_push = ablation_.match_push};
    if (options_.alpha) ablate.alpha = *options_.alpha;
    ablation_.locks = derive_variants(
        activations, options_.full ? full_grid(factors_) : one_factor_at_a_time(factors_), ablate);
    ablation_.derive_seconds = seconds_since(begin);
    check_interrupt();
  }

  void measure(const CausalLM& target, const std::string& adapter) {
    check_interrupt();
    const auto begin = std::chrono::steady_clock::now();
    const auto tell = [&](size_t i, const VariantEffect& effect) {
      session_.note(variant_label(ablation_.locks[i].variant, ablation_.locks.front().variant) +
                    ": harmful " + with_sign(effect.harmful_shift.value) + ", benign " +
                    with_sign(effect.benign_shift.value));
    };
    AblationEffects effects =
        measure_variants(target, ablation_.locks, harmful_, benign_, options_.evaluate, tell);
    check_interrupt();
    ablation_.targets.push_back(
        {.adapter = adapter, .effects = std::move(effects), .seconds = seconds_since(begin)});
  }

  Session& session_;
  Options options_;
  AblationFactors factors_;
  std::vector<std::string> harmful_, benign_;
  std::vector<PromptPair> pairs_;
  Ablation ablation_;
};

void add_factor(CLI::App& command, const char* name, std::vector<std::string>& texts, const char* help,
                const char* type) {
  command.add_option(name, texts, help)->delimiter(',')->type_name(type);
}

}  // namespace

void add_ablate_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command =
      app.add_subcommand("ablate", "Which choice of the method does the work? One changed at a time");
  const auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "The base: GGUF file or Hugging Face folder")
      ->required()
      ->type_name("");
  command->add_option("--pairs", options->pairs, "Pairs of safe and unsafe replies: JSONL, JSON or CSV")
      ->required()
      ->type_name("FILE");
  command->add_option("--harmful", options->harmful, "Harmful prompts to measure on")
      ->required()
      ->type_name("FILE");
  command->add_option("--benign", options->benign, "Benign prompts to measure on")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--adapter", options->adapters,
                   "Folder of a PEFT LoRA adapter: the locks are tried on the base with it; may be given "
                   "several times (default: on the base itself)")
      ->type_name("DIR")
      ->allow_extra_args(false);
  add_factor(*command, "--tokens", options->tokens, "Tokens kept a reply (default 1,3,5,10)", "R,...");
  add_factor(*command, "--heads", options->heads, "Heads in the lock (default 12,24,48)", "K,...");
  add_factor(*command, "--sigma", options->sigma, "Scale heads by their sigma, or all alike (default on,off)",
             "on|off,...");
  add_factor(*command, "--direction", options->directions,
             "mean-difference, probe-weight (default both of them)", "NAME,...");
  add_factor(*command, "--rows", options->rows,
             "A row a token, or the mean of a reply's tokens (default token,mean)", "NAME,...");
  add_factor(*command, "--phase", options->phases,
             "Tokens at which the lock acts: both, prompt, reply (default all three)", "NAME,...");
  command->add_flag("--full", options->full, "All combinations instead of one change at a time");
  command
      ->add_option("--match", options->match,
                   "What all variants have in common: the norm of their displacement (push, the default) or "
                   "alpha")
      ->type_name("push|alpha");
  add_alpha(*command, options->alpha, "Strength of the reference, in units of sigma (default 6)");
  add_integer(*command, "--seed", options->seed, 0, std::numeric_limits<std::int64_t>::max(),
              "Seed of the splits (default 0)");
  add_integer(*command, "--max-pairs", options->max_pairs, 1, 1 << 30,
              "Only the first N pairs (default: all)");
  add_integer(*command, "--first", options->first, 1, 1 << 30,
              "Only the first N prompts of each file (default: all)");
  add_integer(*command, "--max-new-tokens", options->max_new_tokens, 1, 1 << 20,
              "Also let the model answer, in at most N tokens (default: refusal margins alone)");
  add_integer(*command, "--batch", options->evaluate.batch_size, 1, 65536,
              "Prompts run together (default 16)");
  command->add_option("--system", options->collect.system, "System prompt (default: the template's own)")
      ->type_name("TEXT");
  command->add_flag("--trust-special-tokens", options->collect.trust_special_tokens,
                    "Let control tokens in pairs and prompts be control tokens");
  add_date_option(*command, options->collect.clock);
  command->add_option("-o,--output", options->output, "Also write the JSON of --json to this file")
      ->type_name("FILE");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock ablate models/base --pairs data/pairs.jsonl --adapter adapters/tuned --harmful "
         "data/harmful_validation.jsonl --benign data/benign.jsonl",
         "safetylock ablate models/base --pairs data/pairs.jsonl --harmful h.txt --benign b.txt --tokens 1,5 "
         "--heads 24 --phase both,reply --full -o ablation.json"});
  command->callback(
      [options, &action] { action = [options](Session& session) { return Run(session, *options).run(); }; });
}

}  // namespace safetylock::cli
