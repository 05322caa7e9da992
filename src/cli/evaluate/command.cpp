#include <memory>

#include "base/file.h"
#include "cli/evaluate/job.h"
#include "cli/evaluate/result.h"
#include "cli/evaluate_options.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/output_file.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

constexpr std::int64_t kMaxTimeout = 86'400;

EvaluatedJob run_job(Session& session, const EvaluateSetup& setup, const EvaluateInputs& inputs,
                     Journal* journal) {
  try {
    return EvaluateJob(session, setup, inputs, journal).run();
  } catch (const Error& error) {
    if (journal != nullptr && journal->size() > 0 && error.code() == "run.interrupted")
      session.note("What is finished is kept: the same command goes on from here");
    throw;
  }
}

int run_evaluate(Session& session, const EvaluateSetup& setup) {
  check_setup(setup);
  if (!setup.output.empty()) check_can_write(setup.output);
  const EvaluateInputs inputs = load_inputs(setup);
  std::optional<Journal> journal;
  if (!setup.output.empty()) {
    journal.emplace(setup.output + ".partial.jsonl",
                    subject_json(setup, inputs, session.device(), session.dtype()));
    if (journal->size() > 0) session.note("Going on with the unfinished run");
  }
  const EvaluatedJob job = run_job(session, setup, inputs, journal ? &*journal : nullptr);
  const EvaluateResult result = result_of(session, setup, inputs, job);
  if (!setup.output.empty()) write_file_atomically(setup.output, json_text(result.json));
  if (journal) journal->remove();
  session.print(session.json() ? json_text(result.json) : result.text);
  return 0;
}

void add_files(CLI::App& command, EvaluateSetup& setup) {
  const auto file = [&](const char* name, std::string& value, const char* help) {
    command.add_option(name, value, help)->type_name("FILE");
  };
  file("--harmful", setup.harmful, "Harmful prompts: JSONL, JSON, CSV or text");
  file("--benign", setup.benign, "Benign prompts, to see over-refusal");
  file("--lookalikes", setup.lookalikes, "Harmless prompts that look harmful, to see over-refusal");
  file("--text", setup.text,
       "Plain text: perplexity, and KL divergence of the locked model from the unlocked");
  file("--choices", setup.choices, "Multiple choice: JSONL with prompt, choices and answer");
  add_integer(command, "--first", setup.first, 1, 1 << 30,
              "Only the first N prompts of each file (default: all)");
  file("-o,--output", setup.output,
       "Also write the JSON of --json to this file; a run that is cut off goes on");
}

void add_servers(CLI::App& command, EvaluateSetup& setup) {
  const auto text = [&](const char* name, std::string& value, const char* type, const char* help) {
    command.add_option(name, value, help)->type_name(type);
  };
  text("--base", setup.base, "MODEL",
       "The model before its fine-tuning: replies absurd to it are degenerate");
  text("--judge", setup.judge, "URL",
       "OpenAI-compatible server whose model scores replies to harmful prompts, 1 to 5 (key: "
       "SAFETYLOCK_JUDGE_KEY)");
  text("--judge-model", setup.judge_model, "NAME",
       "The judge, as its server calls it (default: the only one)");
  text("--endpoint", setup.endpoint, "URL",
       "Evaluate a model served here (OpenAI-compatible; key: SAFETYLOCK_ENDPOINT_KEY); MODEL is its name "
       "there");
  add_integer(command, "--timeout", setup.timeout, 1, kMaxTimeout,
              "Longest wait for one answer of a server, in seconds (default 300)");
}

}  // namespace

void add_evaluate_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand(
      "evaluate", "What a lock does: replies answered, refused and degenerate, refusal margins, utility");
  const auto setup = std::make_shared<EvaluateSetup>();
  add_locked_model_options(*command, setup->model);
  command->get_option("MODEL")->required(false);
  command->add_flag("--locked-only", setup->locked_only, "Do not also measure the model without the lock");
  add_files(*command, *setup);
  add_servers(*command, *setup);
  command->add_flag("--margin-only", setup->evaluate.margin_only,
                    "Refusal margins alone: one forward pass a prompt, no replies");
  add_evaluate_options(*command, setup->evaluate);
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock evaluate models/tuned --lock base.lock.safetensors --harmful data/harmful_heldout.jsonl "
         "--benign data/benign.jsonl -o results.json",
         "safetylock evaluate --endpoint http://127.0.0.1:8000/v1 --harmful data/harmful_heldout.jsonl"});
  command->callback(
      [setup, &action] { action = [setup](Session& session) { return run_evaluate(session, *setup); }; });
}

}  // namespace safetylock::cli
