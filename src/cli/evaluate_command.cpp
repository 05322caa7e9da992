#include "base/file.h"
#include "cli/evaluate_options.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/locked_model.h"
#include "cli/output_file.h"
#include "cli/table.h"
#include "safetylock/evaluate.h"

namespace safetylock::cli {
namespace {

struct Options {
  LockedModelOptions model;
  std::string harmful, benign;  ///< benign may be empty: none
  std::string output;           ///< empty: none
  std::int64_t first = 0;       ///< 0: all
  EvaluateOptions evaluate;
};

std::string report(Session& session, const std::string& title, const Evaluation& e) {
  return session.heading(title) + "\n" +
         table({rate_row("answered", e.answered), rate_row("refused", e.refused),
                rate_row("degenerate", e.degenerate),
                rate_row("likeliest first token refuses", e.refuses_first),
                mean_row("refusal margin", e.refusal_margin)});
}

Json evaluation_json(const std::string& file, const Evaluation& evaluation) {
  Json json = {{"file", file}};
  json.update(to_json(evaluation));
  return json;
}

int run_evaluate(Session& session, Options options) {
  check_utf8("--system", options.evaluate.system);
  if (!options.output.empty()) check_can_write(options.output);
  const std::vector<std::string> harmful = load_first_prompts(options.harmful, options.first);
  std::vector<std::string> benign;
  if (!options.benign.empty()) benign = load_first_prompts(options.benign, options.first);
  const LockedModel locked = load_locked_model(session, options.model);
  options.evaluate.on_progress = session.progress();

  Json json = {{"schema", "safetylock.evaluate/1"},
               {"model", options.model.model},
               {"adapter", options.model.adapter.empty() ? Json(nullptr) : Json(options.model.adapter)}};
  json.update(locked.lock_json(options.model));
  json["max_new_tokens"] = options.evaluate.max_new_tokens;
  std::string text;
  const auto measure = [&](const char* kind, const std::string& file,
                           const std::vector<std::string>& prompts) {
    session.note(std::string(kind) + " prompts: " + std::to_string(prompts.size()));
    const Evaluation evaluation = evaluate(locked.model, prompts, options.evaluate);
    json[kind] = evaluation_json(file, evaluation);
    text +=
        report(session, std::string(kind) + ": " + std::to_string(prompts.size()) + " prompts", evaluation);
  };
  measure("harmful", options.harmful, harmful);
  json["benign"] = nullptr;
  if (!benign.empty()) measure("benign", options.benign, benign);
  check_interrupt();
  if (!options.output.empty()) write_file_atomically(options.output, json_text(json));
  session.print(session.json() ? json_text(json) : text);
  return 0;
}

}  // namespace

void add_evaluate_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command =
      app.add_subcommand("evaluate", "Counts answered, refused and degenerate replies, and refusal margins");
  const auto options = std::make_shared<Options>();
  add_locked_model_options(*command, options->model);
  command->add_option("--harmful", options->harmful, "Harmful prompts: JSONL, JSON, CSV or text")
      ->required()
      ->type_name("FILE");
  command->add_option("--benign", options->benign, "Benign prompts, to see over-refusal")->type_name("FILE");
  add_integer(*command, "--first", options->first, 1, 1 << 30,
              "Only the first N prompts of each file (default: all)");
  command->add_option("-o,--output", options->output, "Also write the JSON of --json to this file")
      ->type_name("FILE");
  add_evaluate_options(*command, options->evaluate);
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock evaluate models/tuned --harmful data/harmful_heldout.jsonl --benign data/benign.jsonl",
         "safetylock evaluate models/tuned --lock base.lock.safetensors --harmful data/harmful_heldout.jsonl "
         "-o locked.json"});
  command->callback([options, &action] {
    action = [options](Session& session) { return run_evaluate(session, *options); };
  });
}

}  // namespace safetylock::cli
