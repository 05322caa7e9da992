#include "remote/reply_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/utf8.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr size_t kShownBytes = 200;
/// How vLLM spells tokens when it is asked for their ids.
constexpr std::string_view kTokenIdPrefix = "token_id:";

[[noreturn]] void refuse(const std::string& url, const std::string& where, std::string expected,
                         std::string found) {
  throw Error({.code = "remote.reply",
               .file = url,
               .where = where,
               .expected = std::move(expected),
               .found = std::move(found),
               .hint = "Is this an OpenAI-compatible server?"});
}

/// Null where there is no such key.
const Json& member(const Json& value, const char* key) {
  static const Json kNull;
  if (!value.is_object()) return kNull;
  const auto found = value.find(key);
  return found == value.end() ? kNull : *found;
}

double logprob_of(const Json& value, const std::string& url, const std::string& where) {
  if (!value.is_number()) refuse(url, where, "a number", describe_json(value));
  const double logprob = value.get<double>();
  if (std::isnan(logprob) || logprob > 1e-3)
    refuse(url, where, "a logarithm of a probability", describe_json(value));
  return logprob;
}

std::optional<std::int64_t> count_of(const Json& value) {
  if (!value.is_number_integer() && !value.is_number_unsigned()) return {};
  const auto count = value.get<std::int64_t>();
  return count < 0 ? std::nullopt : std::optional(count);
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::optional<TokenId> id_in(std::string_view text) {
  TokenId id = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size()) return {};
  return id;
}

/// A token by its text, or by its id as vLLM's "token_id:N".
RemoteToken named_token(const std::string& name, double logprob) {
  if (name.starts_with(kTokenIdPrefix)) {
    if (const auto id = id_in(std::string_view(name).substr(kTokenIdPrefix.size())))
      return {.id = id, .text = {}, .logprob = logprob};
  }
  return {.id = {}, .text = name, .logprob = logprob};
}

void sort_likeliest_first(std::vector<RemoteToken>& tokens) {
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const RemoteToken& a, const RemoteToken& b) { return a.logprob > b.logprob; });
}

/// {"token", "logprob", "id"?} of the chat form.
RemoteToken chat_token(const Json& value, const std::string& url, const std::string& where) {
  if (!value.is_object()) refuse(url, where, "an object", describe_json(value));
  RemoteToken token = named_token(text_of(member(value, "token")),
                                  logprob_of(member(value, "logprob"), url, where + "/logprob"));
  if (const auto id = count_of(member(value, "id"))) token.id = id;
  return token;
}

/// {"content": [{"token", "logprob", "top_logprobs": [...]}]}: chats, and llama.cpp's completions.
std::vector<RemoteStep> chat_steps(const Json& content, const std::string& url, const std::string& where) {
  std::vector<RemoteStep> steps;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string here = where + "/" + std::to_string(i);
    RemoteStep step{.chosen = chat_token(content[i], url, here), .top = {}};
    const Json& top = member(content[i], "top_logprobs");
    if (top.is_array()) {
      for (size_t j = 0; j < top.size(); ++j)
        step.top.push_back(chat_token(top[j], url, here + "/top_logprobs/" + std::to_string(j)));
    }
    sort_likeliest_first(step.top);
    steps.push_back(std::move(step));
  }
  return steps;
}

/// {"tokens": [...], "token_logprobs": [...], "top_logprobs": [{text: logprob}, ...]}: completions as of old.
std::vector<RemoteStep> completion_steps(const Json& logprobs, const std::string& url,
                                         const std::string& where) {
  const Json& tokens = member(logprobs, "tokens");
  const Json& values = member(logprobs, "token_logprobs");
  const Json& tops = member(logprobs, "top_logprobs");
  if (!tokens.is_array() || !values.is_array() || tokens.size() != values.size())
    refuse(url, where, "as many token_logprobs as tokens", "others");
  std::vector<RemoteStep> steps;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string here = where + "/token_logprobs/" + std::to_string(i);
    RemoteStep step{.chosen = named_token(text_of(tokens[i]), logprob_of(values[i], url, here)), .top = {}};
    if (tops.is_array() && i < tops.size() && tops[i].is_object()) {
      for (const auto& [name, value] : tops[i].items())
        step.top.push_back(named_token(name, logprob_of(value, url, here)));
    }
    sort_likeliest_first(step.top);
    steps.push_back(std::move(step));
  }
  return steps;
}

std::vector<RemoteStep> steps_of(const Json& logprobs, const std::string& url) {
  const std::string where = "/choices/0/logprobs";
  if (!logprobs.is_object()) return {};
  if (const Json& content = member(logprobs, "content"); content.is_array())
    return chat_steps(content, url, where + "/content");
  if (member(logprobs, "tokens").is_array()) return completion_steps(logprobs, url, where);
  return {};
}

/// vLLM: [null, {"id": {"logprob", "rank", "decoded_token"}, ...}, ...]; the prompt's own token comes first.
std::vector<std::optional<RemoteStep>> prompt_steps_of(const Json& list, const std::string& url) {
  std::vector<std::optional<RemoteStep>> steps;
  if (!list.is_array()) return steps;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = "/choices/0/prompt_logprobs/" + std::to_string(i);
    if (list[i].is_null()) {
      steps.emplace_back();
      continue;
    }
    RemoteStep step;
    for (const auto& [name, value] : list[i].items()) {
      const auto id = id_in(name);
      if (!id) refuse(url, where, "token ids as keys", "\"" + escape_untrusted(name, 40) + "\"");
      step.top.push_back({.id = id,
                          .text = text_of(member(value, "decoded_token")),
                          .logprob = logprob_of(member(value, "logprob"), url, where)});
    }
    if (step.top.empty()) refuse(url, where, "at least one token", "none");
    step.chosen = step.top.front();
    sort_likeliest_first(step.top);
    steps.push_back(std::move(step));
  }
  return steps;
}

const Json& first_choice(const Json& body, const std::string& url) {
  const Json& choices = member(body, "choices");
  if (!choices.is_array() || choices.empty())
    refuse(url, "/choices", "a list of at least one choice", describe_json(choices));
  return choices.front();
}

RemoteReply with_counts(RemoteReply reply, const Json& body, const Json& choice, const std::string& url) {
  reply.finish_reason = text_of(member(choice, "finish_reason"));
  const Json& usage = member(body, "usage");
  reply.prompt_tokens = count_of(member(usage, "prompt_tokens"));
  reply.completion_tokens = count_of(member(usage, "completion_tokens"));
  reply.steps = steps_of(member(choice, "logprobs"), url);
  return reply;
}

}  // namespace

RemoteReply parse_chat_reply(const std::string& json, const std::string& url) {
  const JsonTree body = parse_json(json, url);
  const Json& choice = first_choice(*body, url);
  const Json& message = member(choice, "message");
  const Json& content = member(message, "content");
  if (!message.is_object() || (!content.is_string() && !content.is_null()))
    refuse(url, "/choices/0/message/content", "a string", describe_json(content));
  return with_counts({.text = text_of(content),
                      .finish_reason = {},
                      .prompt_tokens = {},
                      .completion_tokens = {},
                      .steps = {}},
                     *body, choice, url);
}

RemoteReply parse_completion_reply(const std::string& json, const std::string& url) {
  const JsonTree body = parse_json(json, url);
  const Json& choice = first_choice(*body, url);
  const Json& text = member(choice, "text");
  if (!text.is_string()) refuse(url, "/choices/0/text", "a string", describe_json(text));
  RemoteReply reply = with_counts(
      {.text = text_of(text), .finish_reason = {}, .prompt_tokens = {}, .completion_tokens = {}, .steps = {}},
      *body, choice, url);
  reply.prompt_steps = prompt_steps_of(member(choice, "prompt_logprobs"), url);
  return reply;
}

std::vector<std::string> parse_model_list(const std::string& json, const std::string& url) {
  const JsonTree body = parse_json(json, url);
  const Json& data = member(*body, "data");
  if (!data.is_array()) refuse(url, "/data", "a list of models", describe_json(data));
  std::vector<std::string> names;
  for (const Json& model : data) {
    const Json& id = member(model, "id");
    if (!id.is_string()) refuse(url, "/data/id", "a string", describe_json(id));
    names.push_back(id.get<std::string>());
  }
  return names;
}

std::string error_words(const std::string& body) {
  try {
    const JsonTree json = parse_json(body, "");
    for (const Json* value : {&member(member(*json, "error"), "message"), &member(*json, "error"),
                              &member(*json, "message"), &member(*json, "detail")}) {
      if (value->is_string()) return "\"" + escape_untrusted(value->get<std::string>(), kShownBytes) + "\"";
    }
  } catch (const Error&) {
    // An error page need not be JSON.
  }
  return body.empty() ? "nothing" : "\"" + escape_untrusted(body, kShownBytes) + "\"";
}

}  // namespace safetylock
