#include "safetylock/model_config.h"

#include <array>
#include <charconv>
#include <cmath>

#include "formats/config_limits.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

class Validator {
 public:
  Validator(const ModelConfig& config, const std::string& file) : c_(config), file_(file) {}

  void run() const {
    architecture();
    size("num_hidden_layers", c_.num_hidden_layers, limits::kLayers);
    size("hidden_size", c_.hidden_size, limits::kExtent);
    size("intermediate_size", c_.intermediate_size, limits::kExtent);
    size("vocab_size", c_.vocab_size, limits::kExtent);
    size("max_position_embeddings", c_.max_position_embeddings, limits::kContext);
    heads();
    positive("rms_norm_eps", c_.rms_norm_eps);
    positive("rope_theta", c_.rope_theta);
    rope_scaling();
    if (c_.bos_token_id) token_id("bos_token_id", *c_.bos_token_id);
    for (const std::int64_t id : c_.eos_token_ids) token_id("eos_token_id", id);
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& field, const std::string& expected,
                         const std::string& found) const {
    throw Error({code, file_, field, expected, found, ""});
  }

  void architecture() const {
    const bool llama = c_.architecture == "LlamaForCausalLM" && c_.model_type == "llama";
    const bool qwen2 = c_.architecture == "Qwen2ForCausalLM" && c_.model_type == "qwen2";
    if (!llama && !qwen2) {
      fail("cfg.unsupported", "architectures", "LlamaForCausalLM (llama) or Qwen2ForCausalLM (qwen2)",
           "\"" + escape_untrusted(c_.architecture) + "\" (" + escape_untrusted(c_.model_type) + ")");
    }
  }

  void size(const char* field, std::int64_t value, std::int64_t limit) const {
    if (value < 1 || value > limit)
      fail("cfg.range", field, "1 to " + std::to_string(limit), std::to_string(value));
  }

  void heads() const {
    if (c_.num_attention_heads < 1 || c_.num_attention_heads > limits::kHeads) {
      fail("cfg.heads", "num_attention_heads", "1 to " + std::to_string(limits::kHeads),
           std::to_string(c_.num_attention_heads));
    }
    if (c_.num_key_value_heads < 1 || c_.num_attention_heads % c_.num_key_value_heads != 0) {
      fail("cfg.kv_heads", "num_key_value_heads",
           "a divisor of the " + std::to_string(c_.num_attention_heads) + " heads",
           std::to_string(c_.num_key_value_heads));
    }
    size("head_dim", c_.head_dim, limits::kHeadDim);
    if (c_.head_dim % 2 != 0) {
      fail("cfg.range", "head_dim", "an even number: rotary embeddings turn pairs",
           std::to_string(c_.head_dim));
    }
  }

  void positive(const char* field, double value) const {
    if (!(value > 0) || !std::isfinite(value))
      fail("cfg.range", field, "a finite number above 0", std::to_string(value));
  }

  void rope_scaling() const {
    const RopeScaling& r = c_.rope_scaling;
    if (r.type == RopeScaling::Type::none) return;
    if (!r.frequency_divisors.empty()) {
      if (r.frequency_divisors.size() != static_cast<size_t>(c_.head_dim / 2)) {
        fail("cfg.range", "rope_freqs", std::to_string(c_.head_dim / 2) + " divisors",
             std::to_string(r.frequency_divisors.size()));
      }
      for (const float d : r.frequency_divisors) positive("rope_freqs", d);
      return;
    }
    positive("rope_scaling.factor", r.factor);
    if (r.type != RopeScaling::Type::llama3) return;
    positive("rope_scaling.low_freq_factor", r.low_freq_factor);
    positive("rope_scaling.high_freq_factor", r.high_freq_factor);
    if (r.high_freq_factor <= r.low_freq_factor) {
      fail("cfg.range", "rope_scaling.high_freq_factor",
           "more than low_freq_factor, " + std::to_string(r.low_freq_factor),
           std::to_string(r.high_freq_factor));
    }
    size("rope_scaling.original_max_position_embeddings", r.original_max_position_embeddings,
         limits::kContext);
  }

  void token_id(const char* field, std::int64_t id) const {
    if (id < 0 || id >= c_.vocab_size) {
      fail("cfg.token_id", field, "0 to " + std::to_string(c_.vocab_size - 1), std::to_string(id));
    }
  }

  const ModelConfig& c_;
  const std::string& file_;
};

const char* name_of(RopeScaling::Type type) {
  switch (type) {
    case RopeScaling::Type::none:
      return "none";
    case RopeScaling::Type::linear:
      return "linear";
    case RopeScaling::Type::llama3:
      return "llama3";
  }
  return "";
}

// GGUF keeps float32 where config.json has decimals; both give the same shortest float32 text.
std::string shortest_float(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(value)).ptr;
  return {text.data(), end};
}

}  // namespace

void validate(const ModelConfig& config, const std::string& file) {
  Validator(config, file).run();
}

// Left out: what fine-tuning, conversion or baking a lock may change (vocabulary, biases, tying, token ids,
// eps).
std::string canonical_text(const ModelConfig& c) {
  const auto field = [](const char* name, std::int64_t value) {
    return std::string(" ") + name + "=" + std::to_string(value);
  };
  return c.architecture + field("num_hidden_layers", c.num_hidden_layers) +
         field("hidden_size", c.hidden_size) + field("intermediate_size", c.intermediate_size) +
         field("num_attention_heads", c.num_attention_heads) +
         field("num_key_value_heads", c.num_key_value_heads) + field("head_dim", c.head_dim) +
         " rope_theta=" + shortest_float(c.rope_theta) + " rope_scaling=" + name_of(c.rope_scaling.type);
}

}  // namespace safetylock
