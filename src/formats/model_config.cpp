#include "safetylock/model_config.h"

#include <array>
#include <charconv>
#include <cmath>

#include "formats/config_limits.h"
#include "formats/families.h"
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
    rotary();
    layers();
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
    const Family* family = family_of_class(c_.architecture);
    if (family == nullptr || family->model_type != c_.model_type) {
      fail("cfg.unsupported", "architectures", supported_classes(),
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

  void rotary() const {
    const std::int64_t rotated = c_.rotary_size();
    if (rotated < 2 || rotated % 2 != 0 || rotated > c_.head_dim) {
      fail("cfg.range", "rotary_dim", "an even number up to head_dim, " + std::to_string(c_.head_dim),
           std::to_string(rotated));
    }
    if (family_of_class(c_.architecture)->rope_local_base_freq)
      positive("rope_local_base_freq", c_.rope_local_base_freq);
    for (const double cap :
         {c_.attn_logit_softcapping, c_.final_logit_softcapping, c_.query_pre_attn_scalar}) {
      if (cap != 0) positive("softcapping, query_pre_attn_scalar", cap);
    }
  }

  void layers() const {
    const auto L = static_cast<size_t>(c_.num_hidden_layers);
    for (const auto* flags : {&c_.sliding_layers, &c_.layers_without_rope}) {
      if (!flags->empty() && flags->size() != L)
        fail("cfg.layers", "layer_types", std::to_string(L) + " layers", std::to_string(flags->size()));
    }
    if (!c_.sliding_layers.empty()) size("sliding_window", c_.sliding_window, limits::kContext);
  }

  void factors(const char* field, const std::vector<float>& divisors) const {
    const auto wanted = static_cast<size_t>(c_.rotary_size() / 2);
    if (divisors.size() != wanted)
      fail("cfg.range", field, std::to_string(wanted) + " divisors", std::to_string(divisors.size()));
    for (const float d : divisors) positive(field, d);
  }

  void positive(const char* field, double value) const {
    if (!(value > 0) || !std::isfinite(value))
      fail("cfg.range", field, "a finite number above 0", std::to_string(value));
  }

  void rope_scaling() const {
    const RopeScaling& r = c_.rope_scaling;
    if (r.type == RopeScaling::Type::none) return;
    if (!r.frequency_divisors.empty()) {
      factors("rope_freqs", r.frequency_divisors);
      return;
    }
    if (r.type == RopeScaling::Type::longrope) {
      factors("rope_scaling.short_factor", r.short_factor);
      factors("rope_scaling.long_factor", r.long_factor);
      positive("rope_scaling.attention_factor", r.attention_factor);
      size("rope_scaling.original_max_position_embeddings", r.original_max_position_embeddings,
           limits::kContext);
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
    case RopeScaling::Type::longrope:
      return "longrope";
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

double ModelConfig::attention_scale() const noexcept {
  return 1.0 / std::sqrt(query_pre_attn_scalar > 0 ? query_pre_attn_scalar : static_cast<double>(head_dim));
}

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
         " rope_theta=" + shortest_float(c.rope_theta) + " rope_scaling=" + name_of(c.rope_scaling.type) +
         (c.rotary_size() != c.head_dim ? field("rotary_dim", c.rotary_size()) : "") +
         (c.rope_local_base_freq > 0 ? " rope_local_base_freq=" + shortest_float(c.rope_local_base_freq)
                                     : "");
}

}  // namespace safetylock
