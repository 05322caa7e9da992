#include "safetylock/generate.h"

#include "engine/chat_prompt.h"
#include "engine/observed_generation.h"
#include "engine/reply_text.h"
#include "engine/request_strength.h"
#include "engine/sampling.h"
#include "engine/token_generator.h"

namespace safetylock {
namespace {

void check_range(const char* name, std::int64_t value, std::int64_t lo, std::int64_t hi) {
  if (value >= lo && value <= hi) return;
  throw Error({.code = "arg.range",
               .where = name,
               .expected = std::to_string(lo) + " to " + std::to_string(hi),
               .found = std::to_string(value)});
}

void check_options(const GenerateOptions& options, const ModelConfig& config) {
  check_range("max_new_tokens", options.max_new_tokens, 1, config.max_position_embeddings);
  check_range("batch_size", options.batch_size, 1, 65536);
  check_range("logprobs", options.logprobs, 0, std::min<std::int64_t>(20, config.vocab_size));
  for (const TokenId id : options.stop_token_ids) check_range("stop_token_ids", id, 0, config.vocab_size - 1);
  check_stop_strings(options.stop);
}

/// What ends a reply: the config's list, what its tokenizer declares as ends, and the caller's.
std::set<TokenId> stop_ids_of(const CausalLM& model, const GenerateOptions& options) {
  std::set<TokenId> ids(options.stop_token_ids.begin(), options.stop_token_ids.end());
  ids.insert(model.config().eos_token_ids.begin(), model.config().eos_token_ids.end());
  // Some fine-tunes keep a base model's eos although their template ends turns with one of these.
  for (const char* name : {"<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>"}) {
    const std::optional<TokenId> id = model.tokenizer().token_to_id(name);
    if (id && model.tokenizer().is_special(*id)) ids.insert(*id);
  }
  return ids;
}

TokenRequest token_request(const CausalLM& model, const GenerateRequest& request,
                           const GenerateOptions& options, const Interventions* lock, size_t index) {
  const SamplingOptions& sampling = request.sampling ? *request.sampling : options.sampling;
  check_sampling(sampling);
  ChatPrompt prompt = encode_chat_prompt(model, request, options, index);
  const Strength strength = request_strength(request.strength, lock);
  return {.prompt_ids = std::move(prompt.ids),
          .strength = strength,
          .gated = lock != nullptr && lock->gate != nullptr && request.conditional && !strength.is_zero(),
          .places = prompt.places,
          .sampling = sampling,
          .draws = request.sampling ? 0 : index};
}

std::vector<ReplyText> reply_texts(const CausalLM& model, const GenerateOptions& options, size_t count) {
  std::vector<ReplyText> texts;
  for (size_t i = 0; i < count; ++i) {
    std::function<void(std::string_view)> on_text;
    if (options.on_text) on_text = [&options, i](std::string_view piece) { options.on_text(i, piece); };
    texts.emplace_back(model.tokenizer(), options.stop, std::move(on_text));
  }
  return texts;
}

}  // namespace

Generation generate(const CausalLM& model, const std::string& prompt, const GenerateOptions& options) {
  return generate_batch(model, {{.messages = {{"user", prompt}}}}, options).front();
}

std::vector<Generation> generate_batch(const CausalLM& model, const std::vector<GenerateRequest>& requests,
                                       const GenerateOptions& options) {
  return generate_observed(model, requests, options, {});
}

std::vector<Generation> generate_observed(const CausalLM& model, const std::vector<GenerateRequest>& requests,
                                          const GenerateOptions& options,
                                          const FirstLogits& on_first_logits) {
  check_options(options, model.config());
  const std::shared_ptr<const Interventions> lock = model.default_interventions();
  std::vector<TokenRequest> token_requests;
  std::vector<Generation> generations(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    token_requests.push_back(token_request(model, requests[i], options, lock.get(), i));
    generations[i].prompt_ids = token_requests[i].prompt_ids;
  }
  if (requests.empty()) return {};

  std::vector<ReplyText> texts = reply_texts(model, options, requests.size());
  std::vector<TokenResult> results = translating_torch_errors([&] {
    return TokenGenerator(model.impl(), lock ? lock->biases : std::map<std::int64_t, at::Tensor>(),
                          std::move(token_requests),
                          {.max_new_tokens = options.max_new_tokens,
                           .batch_size = options.batch_size,
                           .logprobs = options.logprobs,
                           .stop_ids = stop_ids_of(model, options),
                           .on_progress = options.on_progress,
                           .on_first_logits = on_first_logits,
                           .on_token = [&](size_t i, TokenId token) { return texts[i].push(token); },
                           .on_end = [&](size_t i) { texts[i].finish(); },
                           .gate = lock ? lock->gate : nullptr,
                           .rule = lock ? lock->rule : GateRule(),
                           .reply_gate = lock ? lock->reply_gate : nullptr,
                           .reply_rule = lock ? lock->reply_rule : GateRule()})
        .run();
  });
  for (size_t i = 0; i < results.size(); ++i) {
    generations[i].token_ids = std::move(results[i].token_ids);
    generations[i].text = texts[i].text();
    generations[i].finish_reason = texts[i].stopped() ? "stop" : std::move(results[i].finish_reason);
    generations[i].logprobs = std::move(results[i].logprobs);
    generations[i].gate = results[i].gate;
  }
  return generations;
}

}  // namespace safetylock
