#include <algorithm>

#include "cli/help.h"
#include "cli/json_output.h"
#include "cli/locked_model.h"
#include "cli/printable.h"
#include "cli/sampling_options.h"
#include "cli/standard_input.h"
#include "cli/streamed_reply.h"
#include "engine/reply_text.h"
#include "safetylock/error.h"
#include "safetylock/generate.h"
#include "text/chat_file.h"

namespace safetylock::cli {
namespace {

constexpr size_t kMaxPromptBytes = size_t{1} << 20;
constexpr size_t kMaxPromptsBytes = size_t{256} << 20;

struct Options {
  LockedModelOptions model;
  std::string prompt, prompts;
  bool has_prompt = false;
  GenerateOptions generate;
};

std::string prompt_from_input(Session& session) {
  std::string prompt = read_prompt_input(session, "--prompt", kMaxPromptBytes);
  // The end of the last line is the sender's (echo, an editor), as a shell's $(...) has it.
  if (prompt.ends_with('\n')) prompt.pop_back();
  if (prompt.ends_with('\r')) prompt.pop_back();
  return prompt;
}

std::vector<Conversation> read_requests(Session& session, const Options& options) {
  if (!options.has_prompt) {
    if (options.prompts != "-") return load_conversations(options.prompts);
    return parse_conversations(read_prompt_input(session, "--prompts", kMaxPromptsBytes), "standard input");
  }
  std::string prompt = options.prompt == "-" ? prompt_from_input(session) : options.prompt;
  check_utf8("--prompt", prompt);
  if (prompt.empty())
    throw Error({.code = "arg.prompt", .where = "--prompt", .expected = "some text", .found = "none"});
  return {{{"user", std::move(prompt)}}};
}

/// What can be wrong before anything is read.
void check_options(const Options& options) {
  if (options.has_prompt == !options.prompts.empty()) {
    throw Error({.code = "arg.usage",
                 .where = "--prompt, --prompts",
                 .expected = "one of them",
                 .found = options.has_prompt ? "both" : "neither"});
  }
  check_utf8("--system", options.generate.system);
  check_stop_strings(options.generate.stop);
}

/// What was said last.
const std::string& prompt_of(const GenerateRequest& request) {
  return request.messages.back().content;
}

Json result_json(const std::string& prompt, const Generation& generation) {
  Json logprobs = Json::array();
  for (const auto& step : generation.logprobs) {
    Json likeliest = Json::array();
    for (const TokenLogprob& token : step)
      likeliest.push_back({{"id", token.id}, {"logprob", token.logprob}});
    logprobs.push_back(std::move(likeliest));
  }
  return {{"prompt", prompt},
          {"prompt_ids", generation.prompt_ids},
          {"token_ids", generation.token_ids},
          {"text", generation.text},
          {"finish_reason", generation.finish_reason},
          {"logprobs", std::move(logprobs)},
          {"gate", to_json(generation.gate)}};
}

void print_json(Session& session, const std::vector<GenerateRequest>& requests,
                const std::vector<Generation>& generations) {
  Json results = Json::array();
  for (size_t i = 0; i < requests.size(); ++i)
    results.push_back(result_json(prompt_of(requests[i]), generations[i]));
  session.print(json_text({{"schema", "safetylock.generate/1"}, {"results", std::move(results)}}));
}

void print_text(Session& session, const std::vector<GenerateRequest>& requests,
                const std::vector<Generation>& generations) {
  for (size_t i = 0; i < requests.size(); ++i) {
    session.print((i > 0 ? "\n" : "") + session.heading("> " + one_line(prompt_of(requests[i]))) + "\n");
    session.print(printable(generations[i].text) + "\n");
  }
}

void note_gate(Session& session, const std::vector<Generation>& generations) {
  const auto asked = std::count_if(generations.begin(), generations.end(),
                                   [](const Generation& g) { return g.gate.has_value(); });
  if (asked == 0) return;
  if (generations.size() == 1) {
    session.note(gate_text(*generations.front().gate));
    return;
  }
  const auto opened = std::count_if(generations.begin(), generations.end(),
                                    [](const Generation& g) { return g.gate && g.gate->opened(); });
  session.note("the gate opened on " + std::to_string(opened) + " of " + std::to_string(asked) +
               " prompts; the lock acted on these");
}

void stream_text(Session& session, const CausalLM& model, const std::vector<GenerateRequest>& requests,
                 GenerateOptions options) {
  StreamedReply reply(session);
  reply.attach(options);
  const std::vector<Generation> generations = generate_batch(model, requests, options);
  reply.end();
  note_gate(session, generations);
}

int run_generate(Session& session, Options options) {
  check_options(options);
  std::vector<GenerateRequest> requests;
  for (Conversation& messages : read_requests(session, options))
    requests.push_back({.messages = std::move(messages)});
  const LockedModel locked = load_locked_model(session, options.model);
  if (requests.size() == 1 && !session.json()) {
    stream_text(session, locked.model, requests, options.generate);
    return 0;
  }
  options.generate.on_progress = session.progress();
  const std::vector<Generation> generations = generate_batch(locked.model, requests, options.generate);
  session.json() ? print_json(session, requests, generations) : print_text(session, requests, generations);
  note_gate(session, generations);
  return 0;
}

}  // namespace

void add_generate_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("generate", "Answers prompts, with or without a lock");
  const auto options = std::make_shared<Options>();
  add_locked_model_options(*command, options->model);
  command->add_option("--prompt", options->prompt, "What the user says; - reads standard input")
      ->type_name("TEXT");
  command
      ->add_option(
          "--prompts", options->prompts,
          "File of prompts: JSONL, JSON, CSV or text; a column messages holds whole conversations; - reads "
          "standard input")
      ->type_name("FILE");
  add_integer(*command, "--max-new-tokens", options->generate.max_new_tokens, 1, 1 << 20,
              "Longest reply, in tokens (default 128)");
  add_integer(*command, "--batch", options->generate.batch_size, 1, 65536,
              "Prompts answered together (default 16)");
  add_texts(*command, "--stop", options->generate.stop, "End a reply before this text; may be given again");
  add_sampling_options(*command, options->generate.sampling);
  command->add_option("--system", options->generate.system, "System prompt (default: the template's own)")
      ->type_name("TEXT");
  add_integer(*command, "--logprobs", options->generate.logprobs, 0, 20,
              "With --json: the N likeliest tokens of each step, up to 20 (default 0)");
  command->add_flag("--trust-special-tokens", options->generate.trust_special_tokens,
                    "Let control tokens in prompts be control tokens");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock generate models/tuned --lock base.lock.safetensors --prompt \"How do I pick a lock?\"",
         "safetylock generate base.gguf --adapter tuned-lora --lock base.lock.safetensors --prompts "
         "data/benign.jsonl --json"});
  command->callback([options, command, &action] {
    options->has_prompt = command->count("--prompt") > 0;
    check_sampling_options(*command, options->generate.sampling);
    action = [options](Session& session) { return run_generate(session, *options); };
  });
}

}  // namespace safetylock::cli
