#include "cli/date_option.h"
#include "cli/extract/extraction.h"
#include "cli/extract/output.h"
#include "cli/help.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

constexpr std::int64_t kFewestPermutations = 19;

void check_options(const ExtractOptions& options) {
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
  if (options.permutations > 0 && options.permutations < kFewestPermutations) {
    throw Error({.code = "arg.range",
                 .where = "--permutations",
                 .expected = "0 for none, or at least " + std::to_string(kFewestPermutations) +
                             ": with fewer no p value can reach 0.05",
                 .found = std::to_string(options.permutations)});
  }
  if (options.reread && options.gate.empty()) {
    throw Error(
        {.code = "arg.usage", .where = "--reread", .expected = "prompts given by --gate", .found = "none"});
  }
  check_utf8("--system", options.collect.system);
  check_can_write(options.output);
}

int run_extract(Session& session, const ExtractOptions& options) {
  check_options(options);
  Extraction result;
  const SafetyLock lock = extract(session, options, result);
  lock.save(options.output);
  session.print(session.json() ? json_text(extraction_json(options, lock, result))
                               : extraction_report(session, options, lock, result));
  if (result.passed()) {
    if (!session.json())
      session.note("Next: safetylock generate MODEL --lock " + one_line(options.output) + " --prompt TEXT");
    return 0;
  }
  if (!result.evidence.separates.value_or(true)) {
    session.warn(
        "these pairs do not separate safe from unsafe replies: shuffled labels give a head as good (p = " +
        fixed(*result.p_value(result.ranking.front()), 2) +
        "); the lock was written, but do not rely on it (exit code 5)");
  }
  if (result.check && !result.check->passed())
    session.warn("the causal check failed: the lock was written, but do not rely on it (exit code 5)");
  return kCheckFailed;
}

}  // namespace

void add_extract_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("extract", "Derives a lock from a base model and safety pairs");
  const auto options = std::make_shared<ExtractOptions>();
  command->add_option("MODEL", options->model, "GGUF file or Hugging Face folder")->required()->type_name("");
  command->add_option("--pairs", options->pairs, "Pairs of safe and unsafe replies: JSONL, JSON or CSV")
      ->required()
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "The lock to write")->required()->type_name("LOCK");
  command
      ->add_option(
          "--gate", options->gate,
          "Harmful and harmless requests (columns prompt, harmful, topic): the lock will act only on "
          "requests like the harmful ones")
      ->type_name("FILE");
  command->add_flag("--reread", options->reread,
                    "With --gate: read the first tokens of replies, too, and begin those anew that open it");
  add_number(*command, "--gate-false-alarms", options->gate_false_alarms, 0, 0.5,
             "Largest share of harmless requests that may open the gate (default 0.05)");
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
  command
      ->add_option("--max-memory", options->max_memory,
                   "Most memory to use, as 3GB or 800MiB: weights beyond it are read layer by layer, once")
      ->transform(CLI::AsSizeValue(true))
      ->type_name("SIZE");
  add_integer(*command, "--permutations", options->permutations, 0, 100'000,
              "Rounds of shuffled labels that the ranking is held against (default 20; 0: none)");
  add_integer(*command, "--stability", options->stability_rounds, 0, 100'000,
              "Rounds of ranking on two halves of the questions (default 5; 0: none)");
  command->add_flag("--trust-special-tokens", options->collect.trust_special_tokens,
                    "Let control tokens in pairs be control tokens");
  add_date_option(*command, options->collect.clock);
  add_alpha(*command, options->alpha, "Default strength stored in the lock, in units of sigma (default 6)");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock extract models/base --pairs data/pairs.jsonl -o base.lock.safetensors",
         "safetylock extract base.gguf --pairs pairs.csv -o base.lock.safetensors --heads 48 --json",
         "safetylock extract models/base --pairs data/pairs.jsonl --gate data/gate.jsonl -o "
         "gated.lock.safetensors",
         "safetylock extract models/base-70b --pairs data/pairs.jsonl -o base.lock.safetensors --max-memory "
         "8GB"});
  command->callback([options, &action] {
    action = [options](Session& session) { return run_extract(session, *options); };
  });
}

}  // namespace safetylock::cli
