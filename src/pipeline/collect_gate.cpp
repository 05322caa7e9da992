#include <ATen/ATen.h>

#include <array>
#include <chrono>
#include <map>

#include "base/sha256.h"
#include "engine/chat_prompt.h"
#include "model/causal_lm_impl.h"
#include "pipeline/head_output_pass.h"
#include "pipeline/reply_sequences.h"
#include "safetylock/derive_gate.h"

namespace safetylock {
namespace {

constexpr std::array kPositions = {GatePosition::last_token, GatePosition::template_tail,
                                   GatePosition::message, GatePosition::message_end, GatePosition::reply};

struct Prompts {
  std::vector<KeptSequence> sequences;  ///< kept: from the first token that any position reads to the last
  std::vector<PromptPlaces> places;
};

/// Every prompt with every opening of a reply behind it: what a gate of replies reads.
Prompts encode_openings(const CausalLM& model, const std::vector<GatePrompt>& prompts,
                        const GateCollectOptions& options) {
  const CollectOptions whole{.tokens_per_reply = kReplyGateTokens,
                             .system = options.system,
                             .trust_special_tokens = options.trust_special_tokens,
                             .clock = options.clock};
  Prompts out;
  for (size_t i = 0; i < prompts.size(); ++i) {
    for (const std::string& opening : options.openings) {
      KeptSequence sequence =
          encode_reply(model, {.prompt = prompts[i].prompt, .safe = opening, .unsafe = {}}, true, i, whole);
      out.places.push_back(
          {.message = {}, .length = 0, .reply = {sequence.kept.front(), sequence.kept.back() + 1}});
      out.sequences.push_back(std::move(sequence));
    }
  }
  return out;
}

Prompts encode(const CausalLM& model, const std::vector<GatePrompt>& prompts,
               const GateCollectOptions& options) {
  Prompts out;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::vector<ChatMessage> messages = with_system({{"user", prompts[i].prompt}}, options.system);
    ChatSequence chat =
        encode_chat(model.tokenizer(), model.chat_template(), messages,
                    {.add_generation_prompt = true, .clock = options.clock}, options.trust_special_tokens);
    const PromptPlaces places = prompt_places(chat, messages);
    if (places.length < 1 || places.length > model.config().max_position_embeddings) {
      throw Error({.code = "data.too_long",
                   .where = "prompt " + std::to_string(i),
                   .expected = "1 to " + std::to_string(model.config().max_position_embeddings) + " tokens",
                   .found = std::to_string(places.length)});
    }
    KeptSequence& sequence = out.sequences.emplace_back();
    sequence.ids = std::move(chat.tokens.ids);
    const bool known = places.message.length() > 0;
    for (std::int64_t t = known ? places.message.begin : places.length - 1; t < places.length; ++t)
      sequence.kept.push_back(t);
    out.places.push_back(places);
  }
  return out;
}

/// The positions that every prompt has.
std::vector<GatePosition> common_positions(const std::vector<PromptPlaces>& places) {
  std::vector<GatePosition> positions;
  for (const GatePosition position : kPositions) {
    if (std::all_of(places.begin(), places.end(),
                    [&](const PromptPlaces& p) { return p.at(position).length() > 0; }))
      positions.push_back(position);
  }
  return positions;
}

}  // namespace

std::vector<std::string> reply_openings() {
  return {"Sure, here is", "Of course! Here are", "To do this, you", "1. First,"};
}

GateActivations collect_gate_activations(const CausalLM& model, const std::vector<GatePrompt>& prompts,
                                         const GateCollectOptions& options) {
  if (prompts.empty())
    throw Error(
        {.code = "data.empty", .where = "prompts", .expected = "at least one prompt", .found = "none"});
  const bool replies = !options.openings.empty();
  const size_t rows_a_prompt = replies ? options.openings.size() : 1;
  const Prompts encoded =
      replies ? encode_openings(model, prompts, options) : encode(model, prompts, options);
  const ModelConfig& c = model.config();
  const auto N = static_cast<std::int64_t>(encoded.sequences.size());

  GateActivations result;
  result.positions = common_positions(encoded.places);
  const auto P = static_cast<std::int64_t>(result.positions.size());
  std::vector<std::int64_t> labels, groups;
  std::map<std::string, std::int64_t> topics;
  for (const GatePrompt& prompt : prompts) {
    labels.insert(labels.end(), rows_a_prompt, prompt.harmful ? 1 : 0);
    groups.insert(groups.end(), rows_a_prompt,
                  topics.emplace(prompt.topic, static_cast<std::int64_t>(topics.size())).first->second);
  }
  result.labels = at::tensor(labels, at::kLong);
  result.groups = at::tensor(groups, at::kLong);
  result.prompts_digest = digest_of(prompts, options.openings);
  // Of a prompt's tokens only means are kept: P rows, whatever its length.
  const HeadOutputPass pass(model, encoded.sequences, rows_a_prompt, 0);
  result.tokens = pass.tokens();
  result.values = at::empty({N, P, c.num_hidden_layers, c.num_attention_heads, c.head_dim}, at::kFloat);
  const auto begin = std::chrono::steady_clock::now();
  pass.run(options.on_progress, [&](std::int64_t layer, const at::Tensor& values) {
    const at::Tensor rows = values.to(at::kCPU, at::kFloat);
    const at::Tensor out = result.values.select(2, layer);
    std::int64_t first = 0;
    for (std::int64_t i = 0; i < N; ++i) {
      const KeptSequence& sequence = encoded.sequences[static_cast<size_t>(i)];
      for (std::int64_t p = 0; p < P; ++p) {
        const TokenRange range =
            encoded.places[static_cast<size_t>(i)].at(result.positions[static_cast<size_t>(p)]);
        out[i][p].copy_(rows.narrow(0, first + range.begin - sequence.kept.front(), range.length()).mean(0));
      }
      first += static_cast<std::int64_t>(sequence.kept.size());
    }
  });
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

std::string digest_of(const std::vector<GatePrompt>& prompts, const std::vector<std::string>& openings) {
  std::string digest = digest_of(prompts);
  for (const std::string& opening : openings) digest = sha256_hex(digest + opening);
  return digest;
}

}  // namespace safetylock
