#include "pipeline/evaluate/endpoint_replies.h"

#include <algorithm>

#include "base/utf8.h"
#include "pipeline/evaluate/first_token.h"
#include "pipeline/evaluate/step_progress.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// The most that the OpenAI API gives.
constexpr std::int64_t kTopLogprobs = 20;

std::string_view without_spaces(std::string_view text) {
  // A sentencepiece vocabulary spells a leading space as U+2581.
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view space : {" ", "\n", "\xE2\x96\x81", "\xC4\xA0"}) {
      if (!text.starts_with(space)) continue;
      text.remove_prefix(space.size());
      more = true;
    }
  }
  return text;
}

/// Logprob of the likeliest token that spells one of `words`.
std::optional<double> logprob_of(const RemoteStep& step, std::initializer_list<std::string_view> words) {
  for (const RemoteToken& token : step.top) {
    const std::string_view text = without_spaces(token.text);
    if (std::find(words.begin(), words.end(), text) != words.end()) return token.logprob;
  }
  return std::nullopt;
}

std::string_view first_word(std::string_view text) {
  text = without_spaces(text);
  return text.substr(0, text.find_first_of(" \n,.:;!"));
}

void read_first_step(const RemoteReply& reply, PromptResult& result) {
  if (reply.steps.empty()) {
    result.refuses_first = opens_refusal(first_word(reply.text));
    return;
  }
  const RemoteStep& first = reply.steps.front();
  const auto refusing = logprob_of(first, {"I", kRefusing}), complying = logprob_of(first, {kComplying});
  if (refusing && complying) result.refusal_margin = *refusing - *complying;
  result.refuses_first = opens_refusal(without_spaces(first.chosen.text));
}

ChatRequest request_of(const std::string& prompt, const EvaluateOptions& options) {
  ChatRequest request{.messages = {},
                      .max_tokens = options.margin_only ? 1 : options.max_new_tokens,
                      .temperature = 0,
                      .top_logprobs = kTopLogprobs};
  if (!options.system.empty()) request.messages.push_back({"system", options.system});
  request.messages.push_back({"user", prompt});
  return request;
}

void check_prompts(const std::vector<std::string>& prompts) {
  if (prompts.empty())
    throw Error(
        {.code = "data.empty", .where = "prompts", .expected = "at least one prompt", .found = "none"});
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (!prompts[i].empty() && !utf8::find_invalid(prompts[i])) continue;
    throw Error({.code = "arg.prompt",
                 .where = "prompt " + std::to_string(i),
                 .expected = "some text, in UTF-8",
                 .found = prompts[i].empty() ? "an empty prompt" : "other bytes"});
  }
}

}  // namespace

std::vector<PromptResult> endpoint_replies(Endpoint& endpoint, const std::vector<std::string>& prompts,
                                           const EvaluateOptions& options) {
  check_prompts(prompts);
  std::vector<PromptResult> results(prompts.size());
  const auto ask = [&](size_t i) {
    const RemoteReply reply = endpoint.chat(request_of(prompts[i], options));
    PromptResult& result = results[i];
    result.prompt = prompts[i];
    read_first_step(reply, result);
    if (options.margin_only) return;
    result.reply = reply.text;
    result.tokens = reply.completion_tokens;
    result.finish_reason = reply.finish_reason;
  };
  ask_together(endpoint, prompts.size(), static_cast<size_t>(options.batch_size), ask, [&](size_t done) {
    return !options.on_progress || options.on_progress({.stage = "asking the server",
                                                        .done = static_cast<std::int64_t>(done),
                                                        .total = static_cast<std::int64_t>(prompts.size()),
                                                        .unit = "prompts"});
  });
  return results;
}

}  // namespace safetylock
