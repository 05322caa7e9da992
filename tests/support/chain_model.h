// A tiny model whose next token depends on the last token alone, so that its replies can be planted. Its
// attention sees nothing, but a lock on its heads reaches the residual stream as in any model.
#pragma once

#include <cmath>
#include <map>
#include <string>

#include "base/sha256.h"
#include "safetylock/lock.h"
#include "support/tiny_model.h"

namespace safetylock::test {

/// Logit of the planted next token; all others have 0.
inline constexpr double kChainLogit = 20;

/// Writes `reply` after every prompt and then ends it, or goes on with `loop` for ever. Characters of `reply`
/// are distinct ASCII, or repeat with the same successor.
class ChainBuilder {
 public:
  explicit ChainBuilder(const std::string& tiny_model)
      : path_(tiny_model_path(tiny_model)),
        tokenizer_(Tokenizer::from_pretrained(path_)),
        checkpoint_(MemoryCheckpoint::copy_of(tiny_model)) {}

  CausalLM build(const std::string& reply, const std::string& loop) {
    const ModelConfig& c = checkpoint_->config();
    for (std::int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      fill(prefix + "self_attn.v_proj.weight", 0);
      fill(prefix + "mlp.down_proj.weight", 0);
    }
    fill("model.embed_tokens.weight", 0);
    fill("lm_head.weight", 0);
    fill("model.norm.weight", 1);
    follow("\n", reply.empty() ? "" : reply.substr(0, 1));
    for (size_t i = 0; i < reply.size(); ++i) {
      const std::string next = i + 1 < reply.size() ? reply.substr(i + 1, 1) : loop.substr(0, 1);
      follow(reply.substr(i, 1), next);
    }
    // What a lock writes to: no token's embedding has it, and it makes "I" likelier.
    const std::int64_t locked = c.hidden_size - 2;
    checkpoint_->mutable_values("lm_head.weight")[at(id_of("I"), locked)] = 1;
    fill("model.layers.0.self_attn.o_proj.weight", 0);
    checkpoint_->mutable_values(
        "model.layers.0.self_attn.o_proj.weight")[static_cast<size_t>(locked * c.attention_size())] = 1;
    // Tokens that never end a prompt or stand in a reply share the last dimension.
    std::vector<float>& embedding = checkpoint_->mutable_values("model.embed_tokens.weight");
    for (TokenId id = 0; id < c.vocab_size; ++id) {
      embedding[at(id, dimensions_.contains(id) ? dimensions_[id] : c.hidden_size - 1)] = 1;
    }
    auto impl = load_decoder(std::move(checkpoint_), {.device = "cpu", .dtype = "float32"});
    impl->tokenizer = std::move(tokenizer_);
    impl->chat_template = ChatTemplate::from_pretrained(path_);
    return CausalLM(std::move(impl));
  }

 private:
  size_t at(TokenId row, std::int64_t column) const {
    return static_cast<size_t>(row * checkpoint_->config().hidden_size + column);
  }
  TokenId id_of(const std::string& character) const { return tokenizer_.encode(character).ids.front(); }
  void fill(const std::string& name, float value) {
    std::vector<float>& values = checkpoint_->mutable_values(name);
    std::fill(values.begin(), values.end(), value);
  }
  /// After `token` comes `next`; nothing: the end of the turn.
  void follow(const std::string& token, const std::string& next) {
    const TokenId from = id_of(token);
    const TokenId to = next.empty() ? checkpoint_->config().eos_token_ids.front() : id_of(next);
    if (dimensions_.contains(from)) return;
    const auto dimension = static_cast<std::int64_t>(dimensions_.size());
    dimensions_[from] = dimension;
    // What RMSNorm makes of the one in a one-hot vector of E values.
    const ModelConfig& c = checkpoint_->config();
    const double length = 1 / std::sqrt(1 / static_cast<double>(c.hidden_size) + c.rms_norm_eps);
    checkpoint_->mutable_values("lm_head.weight")[at(to, dimension)] =
        static_cast<float>(kChainLogit / length);
  }

  std::string path_;
  Tokenizer tokenizer_;
  std::unique_ptr<MemoryCheckpoint> checkpoint_;
  std::map<TokenId, std::int64_t> dimensions_;
};

inline CausalLM chain_model(const std::string& reply, const std::string& loop = "") {
  return ChainBuilder("llama_gqa").build(reply, loop);
}

/// What to add to the residual stream, [E], so that "I" becomes likelier.
inline at::Tensor towards_refusal(const CausalLM& model) {
  at::Tensor vector = at::zeros({model.config().hidden_size});
  vector[model.config().hidden_size - 2] = 1;
  return vector;
}

/// A lock whose bias on a chain model is towards_refusal, per unit of strength.
inline SafetyLock lock_towards_refusal(const CausalLM& model) {
  const ModelConfig& c = model.config();
  std::vector<float> direction(static_cast<size_t>(c.head_dim), 0.0F);
  direction.front() = 1;
  return SafetyLock({.architecture = c.architecture,
                     .num_hidden_layers = c.num_hidden_layers,
                     .num_attention_heads = c.num_attention_heads,
                     .num_key_value_heads = c.num_key_value_heads,
                     .head_dim = c.head_dim,
                     .hidden_size = c.hidden_size,
                     .base_model = "chain",
                     .config_digest = sha256_hex(canonical_text(c)),
                     .tokenizer_digest = model.tokenizer().digest(),
                     .template_digest = sha256_hex(model.chat_template().source()),
                     .weights_digest = "",
                     .pairs_digest = sha256_hex("pairs"),
                     .protocol = "grouped",
                     .tokens_per_reply = 5,
                     .seed = 0,
                     .revision = 1,
                     .library_version = "0"},
                    {{.id = {0, 0}, .direction = direction, .sigma = 1, .score = 1}});
}

}  // namespace safetylock::test
