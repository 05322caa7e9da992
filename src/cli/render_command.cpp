#include "base/file.h"
#include "cli/date_option.h"
#include "cli/help.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/standard_input.h"
#include "cli/token_list.h"
#include "safetylock/error.h"
#include "safetylock/prompt_data.h"
#include "text/chat_file.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::string model, messages, prompt, tools, pairs, system;
  std::vector<std::string> pair;  ///< prompt, safe reply, unsafe reply
  bool has_prompt = false, has_pair = false, has_index = false;
  std::int64_t index = 0;
  std::int64_t tokens_per_reply = 5;
  bool trust_special_tokens = false;
  ChatClock clock;
};

struct Parts {
  Tokenizer tokenizer;
  ChatTemplate chat_template;
};

void check_options(const Options& options) {
  const int sources = static_cast<int>(!options.messages.empty()) + static_cast<int>(options.has_prompt) +
                      static_cast<int>(options.has_pair) + static_cast<int>(!options.pairs.empty());
  const auto usage = [](const char* where, const char* expected, const std::string& found) {
    throw Error({.code = "arg.usage", .where = where, .expected = expected, .found = found});
  };
  if (sources != 1)
    usage("--messages, --prompt, --pair, --pairs", "one of them", sources == 0 ? "none" : "several");
  const bool of_pair = options.has_pair || !options.pairs.empty();
  if (of_pair && !options.tools.empty())
    usage("--tools", "a chat", "a pair, which extract reads without tools");
  if (options.has_index && options.pairs.empty()) usage("--index", "a file given by --pairs", "none");
  check_utf8("--system", options.system);
  check_utf8("--prompt", options.prompt);
  for (const std::string& text : options.pair) {
    check_utf8("--pair", text);
    if (text.empty())
      throw Error({.code = "arg.prompt", .where = "--pair", .expected = "some text", .found = "none"});
  }
}

PromptPair read_pair(const Options& options) {
  if (options.has_pair)
    return {.prompt = options.pair[0], .safe = options.pair[1], .unsafe = options.pair[2]};
  const std::vector<PromptPair> pairs = load_prompt_pairs(options.pairs);
  if (options.index >= static_cast<std::int64_t>(pairs.size())) {
    throw Error({.code = "arg.range",
                 .where = "--index",
                 .expected = "0 to " + std::to_string(pairs.size() - 1) + ", the pairs of the file",
                 .found = std::to_string(options.index)});
  }
  return pairs[static_cast<size_t>(options.index)];
}

Chat read_chat(Session& session, const Options& options) {
  Chat chat;
  if (options.has_prompt) {
    chat.messages = {{"user", options.prompt}};
  } else if (options.messages == "-") {
    chat = parse_chat(read_standard_input(session, "--messages", kMaxChatBytes, "limit.file_size"),
                      "standard input");
  } else {
    chat = parse_chat(read_file(options.messages, kMaxChatBytes), options.messages);
  }
  if (!options.tools.empty())
    chat.tools_json = parse_tools(read_file(options.tools, kMaxChatBytes), options.tools);
  if (!options.system.empty() && chat.messages.front().role == "system") {
    throw Error({.code = "arg.usage",
                 .where = "--system",
                 .expected = "a chat without a system message of its own",
                 .found = "one that begins with it"});
  }
  chat.messages = with_system(std::move(chat.messages), options.system);
  return chat;
}

std::vector<std::string> roles_of(const std::vector<ChatMessage>& messages) {
  std::vector<std::string> roles;
  for (const ChatMessage& message : messages) roles.push_back(message.role);
  return roles;
}

/// A template that leaves tools out would have the model answer as if there were none.
void check_tools_used(const Parts& parts, const Chat& chat, const ChatTemplateOptions& options,
                      const std::string& with_tools) {
  ChatTemplateOptions without = options;
  without.tools_json.clear();
  if (parts.chat_template.render(chat.messages, without).text != with_tools) return;
  throw Error({.code = "template.tools",
               .where = "--tools",
               .expected = "a chat template that prints tools",
               .found = "one that leaves them out"});
}

/// A chat that ends with a reply is shown as extraction reads it, any other as generation does: with the
/// opening of a reply at its end.
std::vector<TokenList> show_chat(const Parts& parts, const Options& options, const Chat& chat,
                                 bool generation_prompt) {
  const ChatTemplateOptions template_options{
      .add_generation_prompt = generation_prompt, .tools_json = chat.tools_json, .clock = options.clock};
  const ChatSequence sequence = encode_chat(parts.tokenizer, parts.chat_template, chat.messages,
                                            template_options, options.trust_special_tokens);
  if (!chat.tools_json.empty()) check_tools_used(parts, chat, template_options, sequence.prompt.text);
  std::vector<std::int64_t> reply;
  if (!generation_prompt) {
    const int last = static_cast<int>(chat.messages.size()) - 1;
    if (!chat.messages.back().content.empty())
      reply = last_tokens_of(sequence, last, options.tokens_per_reply);
  }
  return {make_token_list(parts.tokenizer, "chat", roles_of(chat.messages), sequence, std::move(reply))};
}

std::vector<TokenList> show_pair(const Parts& parts, const Options& options, const PromptPair& pair) {
  std::vector<std::string> roles = {"user", "assistant"};
  if (!options.system.empty()) roles.insert(roles.begin(), "system");
  std::vector<TokenList> lists;
  for (const bool safe : {true, false}) {
    const std::string name = safe ? "safe" : "unsafe";
    PairReply reply = encode_pair_reply(parts.tokenizer, parts.chat_template, pair, safe,
                                        {.tokens_per_reply = options.tokens_per_reply,
                                         .system = options.system,
                                         .trust_special_tokens = options.trust_special_tokens,
                                         .clock = options.clock},
                                        name + " reply");
    lists.push_back(make_token_list(parts.tokenizer, name, roles, reply.chat, std::move(reply.kept)));
  }
  return lists;
}

void print(Session& session, const Options& options, bool generation_prompt,
           const std::vector<TokenList>& lists) {
  if (session.json()) {
    Json sequences = Json::array();
    for (const TokenList& list : lists) {
      Json json = {{"name", list.name}};
      json.update(to_json(list));
      sequences.push_back(std::move(json));
    }
    session.print(json_text({{"schema", "safetylock.render/1"},
                             {"model", options.model},
                             {"generation_prompt", generation_prompt},
                             {"trust_special_tokens", options.trust_special_tokens},
                             {"tokens_per_reply", options.tokens_per_reply},
                             {"sequences", std::move(sequences)}}));
    return;
  }
  for (const TokenList& list : lists) session.print(token_text(session, list));
  session.note(
      session.terminal().colours(Stream::out)
          ? "Control tokens bold, text of messages coloured, what extraction reads of a reply underlined."
          : "C: control token; R: read by extraction; T: text that spells a control token.");
  for (const TokenList& list : lists) warn_of_typed(session, list, options.trust_special_tokens);
}

int run_render(Session& session, const Options& options) {
  check_options(options);
  const bool of_pair = options.has_pair || !options.pairs.empty();
  if (of_pair) {
    const PromptPair pair = read_pair(options);
    const Parts parts{Tokenizer::from_pretrained(options.model),
                      ChatTemplate::from_pretrained(options.model)};
    print(session, options, false, show_pair(parts, options, pair));
    return 0;
  }
  const Chat chat = read_chat(session, options);
  const Parts parts{Tokenizer::from_pretrained(options.model), ChatTemplate::from_pretrained(options.model)};
  const bool generation_prompt = chat.messages.back().role != "assistant";
  print(session, options, generation_prompt, show_chat(parts, options, chat, generation_prompt));
  return 0;
}

}  // namespace

void add_render_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command =
      app.add_subcommand("render", "Shows a chat or a pair as the tokens that the model reads");
  const auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "GGUF file or Hugging Face folder; weights are not read")
      ->required()
      ->type_name("");
  command
      ->add_option("--messages", options->messages,
                   "JSON: list of {role, content}, or {\"messages\": [...]}; - for standard input")
      ->type_name("FILE");
  command->add_option("--prompt", options->prompt, "One user message")->type_name("TEXT");
  command
      ->add_option("--pair", options->pair, "A prompt, its safe and its unsafe reply, as extract reads them")
      ->expected(3)
      ->type_name("TEXT");
  command->add_option("--pairs", options->pairs, "A pair of this file, as extract reads it")
      ->type_name("FILE");
  add_integer(*command, "--index", options->index, 0, 1 << 30, "Which pair of --pairs, from 0 (default 0)");
  command->add_option("--system", options->system, "System prompt (default: the template's own)")
      ->type_name("TEXT");
  command->add_option("--tools", options->tools, "JSON list of tools, for templates that print them")
      ->type_name("FILE");
  add_integer(*command, "--tokens", options->tokens_per_reply, 1, 1 << 20,
              "Last tokens of a reply to mark (default 5, as extract)");
  command->add_flag("--trust-special-tokens", options->trust_special_tokens,
                    "Let control tokens in messages be control tokens");
  add_date_option(*command, options->clock);
  add_common_options(*command, common);
  teach(*command, Group::look,
        {"safetylock render models/tuned --prompt \"How do I pick a lock?\" --system \"Be brief.\"",
         "safetylock render models/base --pairs data/pairs.jsonl --index 3",
         "safetylock render models/tuned --messages chat.json --json"});
  command->callback([options, command, &action] {
    options->has_prompt = command->count("--prompt") > 0;
    options->has_pair = command->count("--pair") > 0;
    options->has_index = command->count("--index") > 0;
    action = [options](Session& session) { return run_render(session, *options); };
  });
}

}  // namespace safetylock::cli
