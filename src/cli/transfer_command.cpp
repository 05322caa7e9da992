#include <algorithm>
#include <limits>

#include "base/file.h"
#include "cli/date_option.h"
#include "cli/evaluate_options.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/transfer_output.h"

namespace safetylock::cli {
namespace {

constexpr size_t kShownHeads = 8;

struct Options {
  TransferInputs inputs;
  std::string output;          ///< empty: none
  std::int64_t max_pairs = 0;  ///< 0: all
  std::int64_t seed = 0;
  TransferOptions transfer;
};

std::string styled_verdict(const Session& session, TransferVerdict verdict) {
  const Style style = verdict == TransferVerdict::pass   ? Style::green
                      : verdict == TransferVerdict::warn ? Style::yellow
                                                         : Style::red;
  return session.terminal().styled(Stream::out, style, to_string(verdict));
}

TableRow spread_row(const std::string& name, const Spread& locked, const Spread& all) {
  const auto cells = [](const Spread& s) {
    return std::vector<std::string>{fixed(s.mean, 3), fixed(s.sd, 3), interval(s.low, s.high),
                                    fixed(s.min, 3) + " to " + fixed(s.max, 3)};
  };
  TableRow row = {name};
  for (const Spread* spread : {&locked, &all}) {
    for (std::string& cell : cells(*spread)) row.push_back(std::move(cell));
  }
  return row;
}

std::string summary_table(const Transfer& t) {
  return table({{"", "locked", "sd", "95 % interval", "range", "all", "sd", "95 % interval", "range"},
                spread_row("cosine", t.locked.cosine, t.all.cosine),
                spread_row("sigma ratio", t.locked.sigma_ratio, t.all.sigma_ratio),
                spread_row("KL, nats", t.locked.kl, t.all.kl)});
}

std::string worst_heads(const Transfer& t) {
  std::vector<HeadTransfer> locked;
  for (const HeadTransfer& head : t.heads) {
    if (head.rank) locked.push_back(head);
  }
  std::stable_sort(locked.begin(), locked.end(),
                   [](const HeadTransfer& a, const HeadTransfer& b) { return a.cosine < b.cosine; });
  locked.resize(std::min(locked.size(), kShownHeads));
  std::vector<TableRow> rows = {
      {"layer.head", "rank", "cosine", "95 % interval", "sigma ratio", "KL, nats", "nearest"}};
  for (const HeadTransfer& head : locked) {
    rows.push_back({std::to_string(head.id.layer) + "." + std::to_string(head.id.head),
                    std::to_string(*head.rank), fixed(head.cosine, 3),
                    interval(head.cosine_low, head.cosine_high), fixed(head.sigma_ratio, 3),
                    fixed(head.kl, 3), std::to_string(head.id.layer) + "." + std::to_string(head.nearest)});
  }
  return table(rows);
}

std::string report(const Session& session, const Options& options, const Transfer& t) {
  std::string text = session.heading("Transfer of " + one_line(options.inputs.lock)) + ": " +
                     styled_verdict(session, t.judgement.verdict) + "\n";
  text += "  " + std::to_string(t.questions) + " pairs, " + std::to_string(t.rows) + " rows; " +
          (t.evidence.lock_pairs ? "the lock was derived from the same pairs"
                                 : "other pairs than those the lock was derived from") +
          "\n";
  text += session.heading("Base and tuned model, a direction derived on each") + "\n" + summary_table(t);
  text += session.heading("Locked heads, the least alike first") + "\n" + worst_heads(t);
  text += session.heading("Why") + "\n";
  for (const std::string& reason : t.judgement.reasons) text += "  " + reason + "\n";
  return text;
}

/// Base and tuned model are loaded one after the other: memory for one is enough.
Transfer compare(Session& session, const Options& options, const SafetyLock& lock) {
  const auto check_lock = [&](const ModelConfig& config) { lock.check_fits(config); };
  const auto profile = [&] {
    const CausalLM base = session.load_model(options.inputs.base, {}, check_lock);
    check_interrupt();
    return BaseProfile(base, lock, load_first_pairs(options.inputs.pairs, options.max_pairs),
                       options.transfer);
  }();
  check_interrupt();
  const CausalLM tuned = session.load_model(options.inputs.tuned, options.inputs.adapter, check_lock);
  check_interrupt();
  Transfer result = measure_transfer(profile, tuned);
  check_interrupt();
  return result;
}

int run_transfer(Session& session, Options options) {
  check_utf8("--system", options.transfer.system);
  if (!options.output.empty()) check_can_write(options.output);
  const SafetyLock lock = SafetyLock::load(options.inputs.lock);
  options.transfer.seed = static_cast<std::uint64_t>(options.seed);
  options.transfer.on_progress = session.progress();
  const Transfer result = compare(session, options, lock);
  const Json json = transfer_json(options.inputs, lock, result);
  if (!options.output.empty()) write_file_atomically(options.output, json_text(json));
  session.print(session.json() ? json_text(json) : report(session, options, result));
  const std::string& reason = result.judgement.reasons.front();
  switch (result.judgement.verdict) {
    case TransferVerdict::pass:
      return 0;
    case TransferVerdict::warn:
      session.warn("the lock may not do on the tuned model what it does on its base: " + reason);
      return 0;
    case TransferVerdict::refuse:
      break;
  }
  session.warn("do not put this lock on the tuned model: " + reason);
  return kCheckFailed;
}

}  // namespace

void add_transfer_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command =
      app.add_subcommand("transfer", "Says whether a lock of a base may go on a model fine-tuned from it");
  const auto options = std::make_shared<Options>();
  TransferInputs& inputs = options->inputs;
  command->add_option("BASE", inputs.base, "The model that the lock was derived from")
      ->required()
      ->type_name("");
  command->add_option("TUNED", inputs.tuned, "The model that is to carry it")->required()->type_name("");
  command->add_option("--lock", inputs.lock, "Lock made by extract")->required()->type_name("FILE");
  command
      ->add_option("--pairs", inputs.pairs,
                   "Pairs of safe and unsafe replies, best others than the lock's: JSONL, JSON or CSV")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--adapter", inputs.adapter, "Folder of a PEFT LoRA adapter to merge into the tuned model")
      ->type_name("DIR");
  add_integer(*command, "--max-pairs", options->max_pairs, 1, 1 << 30,
              "Only the first N pairs (default: all)");
  add_integer(*command, "--density-heads", options->transfer.density_heads, 0, 1 << 20,
              "How many of the lock's first heads get densities in the JSON (default 8)");
  add_integer(*command, "--seed", options->seed, 0, std::numeric_limits<std::int64_t>::max(),
              "Seed of the bootstrap (default 0)");
  command->add_option("--system", options->transfer.system, "System prompt (default: the template's own)")
      ->type_name("TEXT");
  command->add_flag("--trust-special-tokens", options->transfer.trust_special_tokens,
                    "Let control tokens in pairs be control tokens");
  add_date_option(*command, options->transfer.clock);
  command->add_option("-o,--output", options->output, "Also write the JSON of --json to this file")
      ->type_name("FILE");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock transfer models/base models/tuned --lock base.lock.safetensors --pairs data/pairs.jsonl",
         "safetylock transfer base.gguf base.gguf --adapter adapters/tuned --lock base.lock.safetensors "
         "--pairs heldout.jsonl -o transfer.json"});
  command->callback([options, &action] {
    action = [options](Session& session) { return run_transfer(session, *options); };
  });
}

}  // namespace safetylock::cli
