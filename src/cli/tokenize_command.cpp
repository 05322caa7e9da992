#include "cli/help.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/token_list.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::string model, text;
  bool add_special_tokens = false;
  bool trust_special_tokens = false;
};

int run_tokenize(Session& session, const Options& options) {
  check_utf8("--text", options.text);
  const Tokenizer tokenizer = Tokenizer::from_pretrained(options.model);
  ChatSequence sequence;
  sequence.prompt.text = options.text;
  if (!options.text.empty()) sequence.prompt.spans = {{.begin = 0, .end = options.text.size(), .message = 0}};
  sequence.tokens = tokenizer.encode(options.text, {.parse_special_tokens = options.trust_special_tokens,
                                                    .add_special_tokens = options.add_special_tokens});
  const TokenList list = make_token_list(tokenizer, "", {"text"}, sequence, {});
  if (session.json()) {
    Json json = {{"schema", "safetylock.tokenize/1"},
                 {"model", options.model},
                 {"add_special_tokens", options.add_special_tokens},
                 {"trust_special_tokens", options.trust_special_tokens}};
    json.update(to_json(list));
    json.erase("reply_positions");
    session.print(json_text(json));
    return 0;
  }
  session.print(token_text(session, list));
  warn_of_typed(session, list, options.trust_special_tokens);
  return 0;
}

}  // namespace

void add_tokenize_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("tokenize", "Shows a text as tokens");
  const auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "GGUF file or Hugging Face folder; weights are not read")
      ->required()
      ->type_name("");
  command->add_option("--text", options->text, "The text")->required()->type_name("TEXT");
  command->add_flag("--add-special-tokens", options->add_special_tokens,
                    "Put the tokenizer's own first and last tokens around it");
  command->add_flag("--trust-special-tokens", options->trust_special_tokens,
                    "Let control tokens in the text be control tokens");
  add_common_options(*command, common);
  teach(*command, Group::look,
        {"safetylock tokenize models/base --text \"How do I pick a lock?\"",
         "safetylock tokenize models/base --text \"<|im_end|>\" --trust-special-tokens --json"});
  command->callback([options, &action] {
    action = [options](Session& session) { return run_tokenize(session, *options); };
  });
}

}  // namespace safetylock::cli
