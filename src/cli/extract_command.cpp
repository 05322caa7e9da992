#include <chrono>

#include "cli/date_option.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "safetylock/derive.h"
#include "safetylock/error.h"
#include "safetylock/evaluate.h"
#include "safetylock/head_activations.h"
#include "safetylock/prompt_data.h"

namespace safetylock::cli {
namespace {

constexpr size_t kShownHeads = 10;

struct Options {
  std::string model, pairs, output;
  std::int64_t max_pairs = 0;  ///< 0: all
  std::int64_t seed = 0;
  std::optional<double> alpha;
  std::string protocol = "grouped";
  CollectOptions collect;
  DeriveOptions derive;
};

struct Seconds {
  double load = 0, collect = 0, rank = 0, derive = 0, causal_check = 0, total = 0;
};

struct Extraction {
  std::int64_t pairs = 0, rows = 0, tokens = 0;
  double pairs_per_second = 0;
  std::vector<HeadScore> scores;  ///< of the lock's heads, in its order
  CausalCheck check;
  Seconds seconds;
};

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

void check_options(const Options& options) {
  if (options.protocol != "grouped" && options.protocol != "paper") {
    throw Error({.code = "arg.protocol",
                 .where = "--protocol",
                 .expected = "grouped or paper",
                 .found = "\"" + escape_untrusted(options.protocol) + "\""});
  }
  if (options.alpha && (*options.alpha <= 0 || *options.alpha > SafetyLock::kDefaultAlphaMax)) {
    throw Error({.code = "arg.alpha",
                 .where = "--alpha",
                 .expected = "a strength above 0 and up to " + fixed(SafetyLock::kDefaultAlphaMax, 0),
                 .found = fixed(*options.alpha, 3)});
  }
  check_utf8("--system", options.collect.system);
  check_can_write(options.output);
}

std::vector<PromptPair> read_pairs(const Options& options) {
  std::vector<PromptPair> pairs = load_prompt_pairs(options.pairs);
  if (options.max_pairs > 0 && options.max_pairs < static_cast<std::int64_t>(pairs.size()))
    pairs.resize(static_cast<size_t>(options.max_pairs));
  return pairs;
}

/// Steps 1 to 5 of the method and the causal check; the lock is not written yet.
SafetyLock extract(Session& session, Options options, Extraction& result) {
  Stopwatch watch;
  const std::vector<PromptPair> pairs = read_pairs(options);
  const CausalLM model = session.load_model(options.model);
  const std::int64_t all_heads = model.config().num_hidden_layers * model.config().num_attention_heads;
  if (options.derive.num_heads > all_heads) {
    throw Error({.code = "arg.range",
                 .where = "--heads",
                 .expected = "at most " + std::to_string(all_heads) + ", the heads of this model",
                 .found = std::to_string(options.derive.num_heads)});
  }
  result.seconds.load = watch.lap();
  check_interrupt();

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
  if (options.protocol == "paper") rank.repeats = 1;
  const std::vector<HeadScore> ranking = rank_heads(activations, rank);
  result.seconds.rank = watch.lap();
  check_interrupt();

  options.derive.protocol = options.protocol;
  options.derive.seed = seed;
  options.derive.default_alpha = options.alpha.value_or(options.derive.default_alpha);
  SafetyLock lock = derive_lock(activations, ranking, options.derive);
  result.scores.assign(ranking.begin(), ranking.begin() + options.derive.num_heads);
  result.seconds.derive = watch.lap();

  result.check = causal_check(model, lock, session.progress());
  result.seconds.causal_check = watch.lap();
  result.seconds.total = watch.total();
  check_interrupt();
  return lock;
}

Json heads_json(const SafetyLock& lock, const std::vector<HeadScore>& scores) {
  Json heads = Json::array();
  for (size_t i = 0; i < scores.size(); ++i) {
    const HeadScore& score = scores[i];
    heads.push_back({{"layer", score.id.layer},
                     {"head", score.id.head},
                     {"accuracy", score.accuracy},
                     {"ci_low", score.ci_low},
                     {"ci_high", score.ci_high},
                     {"auc", score.auc},
                     {"train_accuracy", score.train_accuracy},
                     {"sigma", lock.heads()[i].sigma}});
  }
  return heads;
}

Json extraction_json(const Options& options, const SafetyLock& lock, const Extraction& e) {
  const LockIdentity& id = lock.identity();
  const Seconds& s = e.seconds;
  return {{"schema", "safetylock.extract/1"},
          {"lock", options.output},
          {"lock_digest", lock.content_digest()},
          {"model", options.model},
          {"pairs", e.pairs},
          {"pairs_digest", id.pairs_digest},
          {"rows", e.rows},
          {"tokens", e.tokens},
          {"tokens_per_reply", id.tokens_per_reply},
          {"protocol", id.protocol},
          {"seed", id.seed},
          {"alpha", lock.default_strength().alpha()},
          {"pairs_per_second", e.pairs_per_second},
          {"seconds",
           {{"load", s.load},
            {"collect", s.collect},
            {"rank", s.rank},
            {"derive", s.derive},
            {"causal_check", s.causal_check},
            {"total", s.total}}},
          {"heads", heads_json(lock, e.scores)},
          {"causal_check", to_json(e.check)}};
}

std::string head_table(const SafetyLock& lock, const std::vector<HeadScore>& scores) {
  std::vector<TableRow> rows = {{"layer.head", "accuracy", "95 % interval", "AUC", "sigma"}};
  for (size_t i = 0; i < std::min(scores.size(), kShownHeads); ++i) {
    const HeadScore& score = scores[i];
    rows.push_back({std::to_string(score.id.layer) + "." + std::to_string(score.id.head),
                    fixed(score.accuracy, 3), interval(score.ci_low, score.ci_high), fixed(score.auc, 3),
                    fixed(static_cast<double>(lock.heads()[i].sigma), 4)});
  }
  return table(rows);
}

TableRow check_row(const std::string& name, const Mean& unlocked, const Mean& locked, const Mean& shift) {
  return {name,
          std::to_string(shift.n),
          with_sign(unlocked.value),
          with_sign(locked.value),
          with_sign(shift.value),
          "[" + with_sign(shift.low) + ", " + with_sign(shift.high) + "]"};
}

std::string check_table(const CausalCheck& c) {
  return table({{"prompts", "n", "unlocked", "locked", "shift", "95 % interval"},
                check_row("harmful", c.harmful_unlocked, c.harmful_locked, c.harmful_shift),
                check_row("benign", c.benign_unlocked, c.benign_locked, c.benign_shift)});
}

std::string verdict(const Session& session, const CausalCheck& check) {
  if (check.passed()) {
    return session.terminal().styled(Stream::out, Style::green, "passed") +
           ": the lock raises refusal of harmful prompts and leaves benign ones where they were";
  }
  std::string reasons;
  if (!check.harmful_raised) reasons = "the refusal margin of harmful prompts does not rise for certain";
  if (!check.benign_stays)
    reasons += std::string(reasons.empty() ? "" : ", and ") +
               "benign prompts move at least half as much as harmful ones";
  return session.terminal().styled(Stream::out, Style::red, "FAILED") + ": " + reasons;
}

std::string report(const Session& session, const Options& options, const SafetyLock& lock,
                   const Extraction& e) {
  const size_t shown = std::min(e.scores.size(), kShownHeads);
  return session.heading("Lock " + one_line(options.output)) + "\n  " + std::to_string(lock.heads().size()) +
         " heads in " + std::to_string(lock.layers().size()) + " layers, default alpha " +
         fixed(lock.default_strength().alpha(), 2) + ", digest " + lock.content_digest().substr(0, 16) +
         "\n  " + std::to_string(e.pairs) + " pairs, " + std::to_string(e.rows) + " rows, " +
         std::to_string(e.tokens) + " tokens: " + fixed(e.pairs_per_second, 2) + " pairs/s; " +
         duration_text(e.seconds.total) + " in all\n" +
         session.heading("Best " + std::to_string(shown) + " heads") + "\n" + head_table(lock, e.scores) +
         session.heading("Causal check: refusal margin of the base itself, without and with the lock") +
         "\n" + check_table(e.check) + "  " + verdict(session, e.check) + "\n";
}

int run_extract(Session& session, const Options& options) {
  check_options(options);
  Extraction result;
  const SafetyLock lock = extract(session, options, result);
  lock.save(options.output);
  session.print(session.json() ? json_text(extraction_json(options, lock, result))
                               : report(session, options, lock, result));
  if (result.check.passed()) {
    if (!session.json())
      session.note("Next: safetylock generate MODEL --lock " + one_line(options.output) + " --prompt TEXT");
    return 0;
  }
  session.warn("the causal check failed: the lock was written, but do not rely on it (exit code 5)");
  return kCheckFailed;
}

}  // namespace

void add_extract_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("extract", "Derives a lock from a base model and safety pairs");
  const auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "GGUF file or Hugging Face folder")->required()->type_name("");
  command->add_option("--pairs", options->pairs, "Pairs of safe and unsafe replies: JSONL, JSON or CSV")
      ->required()
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "The lock to write")->required()->type_name("LOCK");
  add_integer(*command, "--heads", options->derive.num_heads, 1, 1 << 20, "Heads in the lock (default 24)");
  add_integer(*command, "--tokens", options->collect.tokens_per_reply, 1, 1 << 20,
              "Last tokens of each reply to read (default 5)");
  add_integer(*command, "--seed", options->seed, 0, std::numeric_limits<std::int64_t>::max(),
              "Seed of the splits (default 0)");
  command->add_option("--system", options->collect.system, "System prompt (default: the template's own)")
      ->type_name("TEXT");
  command
      ->add_option("--protocol", options->protocol,
                   "How pairs are split for the probes: by question (default grouped) or by row")
      ->type_name("grouped|paper");
  add_integer(*command, "--max-pairs", options->max_pairs, 1, 1 << 30,
              "Only the first N pairs (default: all)");
  command->add_flag("--trust-special-tokens", options->collect.trust_special_tokens,
                    "Let control tokens in pairs be control tokens");
  add_date_option(*command, options->collect.clock);
  add_alpha(*command, options->alpha, "Default strength stored in the lock, in units of sigma (default 6)");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock extract models/base --pairs data/pairs.jsonl -o base.lock.safetensors",
         "safetylock extract base.gguf --pairs pairs.csv -o base.lock.safetensors --heads 48 --json"});
  command->callback([options, &action] {
    action = [options](Session& session) { return run_extract(session, *options); };
  });
}

}  // namespace safetylock::cli
