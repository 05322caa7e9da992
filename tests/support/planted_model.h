// A tiny transformer whose one safety head is known: what the whole method must find, use and compare.
//
// Attention is uniform everywhere, so a head's output is the mean of its values over the tokens so far.
// - The safety head's first value is +1 for '#' and -1 for '%'; all other heads see random features only.
// What
//   it finds makes "I" likelier as the first token of a reply.
// - A harm head beside it counts '!': a harmful prompt is one with many of them. That makes "I" likelier too.
//   To all other heads '?' looks the same.
// - How much the model wants to comply is a number. The reply is "I can't" or "Sure,\tgo.", whichever of
//   their first tokens is likelier.
#pragma once

#include <cmath>
#include <map>
#include <string>

#include "analysis/random.h"
#include "safetylock/prompt_data.h"
#include "support/tiny_model.h"

namespace safetylock::test {

struct Planted {
  HeadId safety_head = {1, 2};
  HeadId harm_head = {1, 0};
  double compliance = 1;   ///< what "S" has at the end of a prompt, where "I" has harm and lock
  std::uint64_t seed = 0;  ///< of the features that mean nothing

  static constexpr std::int64_t kLayers = 3, kHeads = 4, kHeadDim = 8, kHidden = 64;
  static constexpr double kNoise = 0.1;  ///< size of each of the meaningless features of a token
  /// What a normalised embedding has where the embedding has 1: all of them are equally long.
  static double gain() { return std::sqrt(kHidden / (1 + kNoise * kNoise * (kHidden - kFirstNoise))); }

  CausalLM build() const;

  /// The strength at which the reply to a prompt with this share of '!' tokens turns into a refusal, for a
  /// lock that adds `per_alpha` (sigma * first component of the direction) to the safety head's first value.
  double turning_point(double harm_share, double per_alpha) const {
    return (compliance - gain() * harm_share) / per_alpha;
  }

 private:
  // Dimensions of the residual stream: tokens of the replies, then what follows.
  static constexpr std::int64_t kClass = 20, kHarmSeen = 21, kHarm = 22, kSafe = 23, kPlain = 24,
                                kFirstNoise = 25;

  friend class PlantedBuilder;
};

class PlantedBuilder {
 public:
  explicit PlantedBuilder(const Planted& planted)
      : planted_(planted),
        path_(tiny_model_path("llama_gqa")),
        tokenizer_(Tokenizer::from_pretrained(path_)),
        random_(planted.seed) {}

  CausalLM build() {
    ModelConfig config = Checkpoint::open(path_)->config();
    config.num_hidden_layers = Planted::kLayers;
    config.num_attention_heads = config.num_key_value_heads = Planted::kHeads;
    config.head_dim = Planted::kHeadDim;
    config.hidden_size = Planted::kHidden;
    config.intermediate_size = 8;
    config.max_position_embeddings = 512;
    checkpoint_ = std::make_unique<MemoryCheckpoint>(config);
    plant_replies();
    plant_embeddings();
    for (std::int64_t layer = 0; layer < Planted::kLayers; ++layer) plant_layer(layer);
    set("model.norm.weight", {Planted::kHidden}, 1);
    auto impl = load_decoder(std::move(checkpoint_), {.device = "cpu", .dtype = "float32"});
    impl->tokenizer = std::move(tokenizer_);
    impl->chat_template = ChatTemplate::from_pretrained(path_);
    return CausalLM(std::move(impl));
  }

 private:
  static constexpr float kFollows = 100;  ///< outweighs whatever a lock adds

  static size_t at(std::int64_t row, std::int64_t column) {
    return static_cast<size_t>(row * Planted::kHidden + column);
  }
  TokenId id_of(const std::string& character) const { return tokenizer_.encode(character).ids.front(); }
  std::vector<float>& set(const std::string& name, std::vector<std::uint64_t> shape, float value = 0) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : shape) count *= extent;
    checkpoint_->set(name, std::move(shape), std::vector<float>(count, value));
    return checkpoint_->mutable_values(name);
  }
  float sign() { return random_.below(2) == 0 ? -1.0F : 1.0F; }

  std::int64_t dimension_of(TokenId token) {
    return dimensions_.emplace(token, static_cast<std::int64_t>(dimensions_.size())).first->second;
  }

  void plant_replies() {
    const auto vocabulary = static_cast<std::uint64_t>(checkpoint_->config().vocab_size);
    std::vector<float>& head = set("lm_head.weight", {vocabulary, Planted::kHidden});
    const std::int64_t prompt_end = dimension_of(id_of("\n"));
    head[at(id_of("S"), prompt_end)] = static_cast<float>(planted_.compliance);
    head[at(id_of("I"), Planted::kSafe)] = 1;
    head[at(id_of("I"), Planted::kHarm)] = 1;
    for (const std::string reply : {"I can't", "Sure,\tgo."}) {
      for (size_t i = 0; i < reply.size(); ++i) {
        const TokenId next = i + 1 < reply.size() ? id_of(reply.substr(i + 1, 1))
                                                  : checkpoint_->config().eos_token_ids.front();
        head[at(next, dimension_of(id_of(reply.substr(i, 1))))] = kFollows;
      }
    }
  }

  void plant_embeddings() {
    const std::int64_t vocabulary = checkpoint_->config().vocab_size;
    std::vector<float>& embedding =
        set("model.embed_tokens.weight", {static_cast<std::uint64_t>(vocabulary), Planted::kHidden});
    const std::map<TokenId, std::pair<std::int64_t, float>> meaning = {
        {id_of("#"), {Planted::kClass, 1.0F}},
        {id_of("%"), {Planted::kClass, -1.0F}},
        {id_of("!"), {Planted::kHarmSeen, 1.0F}}};
    for (TokenId id = 0; id < vocabulary; ++id) {
      if (const auto found = meaning.find(id); found != meaning.end()) {
        embedding[at(id, found->second.first)] = found->second.second;
      } else {
        embedding[at(id, dimensions_.contains(id) ? dimensions_[id] : Planted::kPlain)] = 1;
      }
      for (std::int64_t e = Planted::kFirstNoise; e < Planted::kHidden; ++e)
        embedding[at(id, e)] = static_cast<float>(Planted::kNoise) * sign();
    }
    // The two classes differ in their class alone, and so do harm and '?'.
    const auto noise = [&](const char* token) {
      return embedding.begin() + static_cast<std::ptrdiff_t>(at(id_of(token), Planted::kFirstNoise));
    };
    std::copy_n(noise("#"), Planted::kHidden - Planted::kFirstNoise, noise("%"));
    std::copy_n(noise("!"), Planted::kHidden - Planted::kFirstNoise, noise("?"));
  }

  void plant_layer(std::int64_t layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    constexpr std::uint64_t kSize = Planted::kHeads * Planted::kHeadDim;
    for (const char* name : {"self_attn.q_proj", "self_attn.k_proj"})
      set(prefix + name + ".weight", {kSize, Planted::kHidden});
    for (const char* name : {"input_layernorm", "post_attention_layernorm"})
      set(prefix + name + ".weight", {Planted::kHidden}, 1);
    for (const char* name : {"mlp.gate_proj", "mlp.up_proj"})
      set(prefix + name + ".weight", {8, Planted::kHidden});
    set(prefix + "mlp.down_proj.weight", {Planted::kHidden, 8});
    std::vector<float>& v = set(prefix + "self_attn.v_proj.weight", {kSize, Planted::kHidden});
    std::vector<float>& o = set(prefix + "self_attn.o_proj.weight", {Planted::kHidden, kSize});
    for (size_t row = 0; row < kSize; ++row) {
      for (std::int64_t e = Planted::kFirstNoise; e < Planted::kHidden; ++e)
        v[at(static_cast<std::int64_t>(row), e)] = 0.1F * sign();
    }
    // The first value of a head that means something, and where it goes.
    const auto plant = [&](HeadId id, std::int64_t from, std::int64_t to) {
      if (id.layer != layer) return;
      const std::int64_t value = id.head * Planted::kHeadDim;
      std::fill_n(v.begin() + static_cast<std::ptrdiff_t>(at(value, 0)), Planted::kHidden, 0.0F);
      v[at(value, from)] = 1;
      o[static_cast<size_t>(to) * kSize + static_cast<size_t>(value)] = 1;
    };
    plant(planted_.safety_head, Planted::kClass, Planted::kSafe);
    plant(planted_.harm_head, Planted::kHarmSeen, Planted::kHarm);
  }

  Planted planted_;
  std::string path_;
  Tokenizer tokenizer_;
  Random random_;
  std::unique_ptr<MemoryCheckpoint> checkpoint_;
  std::map<TokenId, std::int64_t> dimensions_;
};

inline CausalLM Planted::build() const {
  return PlantedBuilder(*this).build();
}

/// Pairs whose replies differ in meaning only by '#' (safe) and '%' (unsafe), among random letters.
inline std::vector<PromptPair> planted_pairs(size_t count, std::uint64_t seed) {
  Random random(seed);
  const auto letters = [&](size_t length) {
    std::string text;
    for (size_t i = 0; i < length; ++i) text += static_cast<char>('A' + random.below(26));
    return text;
  };
  std::vector<PromptPair> pairs;
  for (size_t i = 0; i < count; ++i) {
    const std::string prompt = letters(8);
    pairs.push_back(
        {.prompt = prompt, .safe = letters(4) + "##" + letters(6), .unsafe = letters(4) + "%%" + letters(6)});
  }
  return pairs;
}

}  // namespace safetylock::test
