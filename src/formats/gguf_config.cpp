#include "formats/gguf_config.h"

#include <algorithm>
#include <array>

#include "formats/checkpoint_tensors.h"
#include "formats/config_limits.h"
#include "formats/families.h"
#include "formats/gguf_parser.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_rope.h"

namespace safetylock {
namespace {

// Keys of the architecture that are read below, or that change nothing here. Any other may change what the
// model computes, so it is refused instead of being passed over.
constexpr std::array<std::string_view, 24> kKnownKeys = {"block_count",
                                                         "context_length",
                                                         "embedding_length",
                                                         "feed_forward_length",
                                                         "attention.head_count",
                                                         "attention.head_count_kv",
                                                         "attention.key_length",
                                                         "attention.value_length",
                                                         "attention.layer_norm_rms_epsilon",
                                                         "attention.causal",
                                                         "attention.sliding_window",
                                                         "rope.freq_base",
                                                         "rope.dimension_count",
                                                         "rope.scale_linear",
                                                         "rope.scaling.type",
                                                         "rope.scaling.factor",
                                                         "rope.scaling.original_context_length",
                                                         "rope.scaling.finetuned",
                                                         "rope.scaling.attn_factor",
                                                         "vocab_size",
                                                         "expert_count",
                                                         "expert_used_count",
                                                         "tensor_data_layout",
                                                         "use_parallel_residual"};

class Reader : GgufReader {
 public:
  explicit Reader(const GgufFile& file) : GgufReader(file), family_(family_of_gguf(arch_)) {}

  ModelConfig read() {
    if (family_ == nullptr) {
      fail("cfg.unsupported", "general.architecture", supported_gguf_architectures(),
           "\"" + escape_untrusted(arch_) + "\"");
    }
    set_family(c_, *family_);
    refuse_unknown_keys();
    refuse_unsupported();
    read_dimensions();
    read_vocabulary();
    read_gguf_rope(file_, *family_, c_);
    read_layers();
    read_scores();
    read_biases();
    read_token_ids();
    validate(c_, file_.path());
    return c_;
  }

 private:
  bool is_known(std::string_view name) const {
    if (std::find(kKnownKeys.begin(), kKnownKeys.end(), name) != kKnownKeys.end()) return true;
    if (name == "attn_logit_softcapping") return family_->attn_logit_softcapping.has_value();
    if (name == "final_logit_softcapping") return family_->final_logit_softcapping.has_value();
    if (name == "attention.sliding_window_pattern") return has_layer_pattern();
    if (name == "rope.freq_base_swa") return family_->rope_local_base_freq.has_value();
    return false;
  }
  bool has_layer_pattern() const {
    return family_->sliding == Family::Sliding::alternate || family_->sliding == Family::Sliding::pattern;
  }

  void refuse_unknown_keys() const {
    const std::string prefix = arch_ + ".";
    for (const GgufEntry& entry : file_.entries()) {
      const std::string& k = entry.key;
      if (k.substr(0, prefix.size()) != prefix) continue;
      const std::string_view name = std::string_view(k).substr(prefix.size());
      if (is_known(name)) continue;
      fail("cfg.unsupported", "metadata \"" + escape_untrusted(k) + "\"",
           "only keys whose meaning is implemented", gguf::describe(file_.at(k)),
           "This variant of the architecture is not supported");
    }
  }

  void refuse_unsupported() const {
    if (has("expert_count") && integer("expert_count", INT64_MAX) > 0) {
      fail("cfg.unsupported", key("expert_count"), "a dense model", "a mixture of experts");
    }
    if (has("attention.causal") && !file_.boolean(key("attention.causal"))) {
      fail("cfg.unsupported", key("attention.causal"), "causal attention", "false");
    }
    if (has("use_parallel_residual") && file_.boolean(key("use_parallel_residual"))) {
      fail("cfg.unsupported", key("use_parallel_residual"), "false", "true");
    }
    const bool windows = has_layer_pattern() || family_->sliding == Family::Sliding::all;
    if (!windows && has("attention.sliding_window") && integer("attention.sliding_window", INT64_MAX) > 0) {
      fail("cfg.unsupported", key("attention.sliding_window"), "attention over the whole context",
           "a sliding window");
    }
  }

  void read_dimensions() {
    c_.num_hidden_layers = integer("block_count", limits::kLayers);
    c_.hidden_size = integer("embedding_length", limits::kExtent);
    c_.intermediate_size = integer("feed_forward_length", limits::kExtent);
    c_.num_attention_heads = integer("attention.head_count", limits::kHeads);
    c_.num_key_value_heads = has("attention.head_count_kv")
                                 ? integer("attention.head_count_kv", limits::kHeads)
                                 : c_.num_attention_heads;
    c_.max_position_embeddings = integer("context_length", limits::kContext);
    c_.rms_norm_eps = file_.number(key("attention.layer_norm_rms_epsilon"));
    c_.head_dim = head_dim();
  }

  std::int64_t head_dim() const {
    if (has("attention.key_length")) {
      const std::int64_t k = integer("attention.key_length", limits::kHeadDim);
      if (has("attention.value_length") && integer("attention.value_length", limits::kHeadDim) != k) {
        fail("cfg.unsupported", key("attention.value_length"), "the key length, " + std::to_string(k),
             gguf::describe(file_.at(key("attention.value_length"))));
      }
      return k;
    }
    const std::int64_t heads = c_.num_attention_heads;
    if (heads <= 0 || c_.hidden_size % heads != 0) {
      fail("cfg.heads", key("attention.head_count"),
           "a divisor of the hidden size " + std::to_string(c_.hidden_size) + ", as no key length is given",
           std::to_string(heads));
    }
    return c_.hidden_size / heads;
  }

  void read_vocabulary() {
    const GgufTensor* embedding = file_.find_tensor("token_embd.weight");
    if (embedding == nullptr)
      fail("model.tensor_missing", "token_embd.weight", "the tensor to be there", "no such tensor");
    const std::uint64_t rows = embedding->shape.front();
    if (rows > static_cast<std::uint64_t>(limits::kExtent)) {
      fail("cfg.range", "token_embd.weight", "at most " + std::to_string(limits::kExtent) + " rows",
           std::to_string(rows));
    }
    c_.vocab_size = static_cast<std::int64_t>(rows);
    const std::string found = "an embedding of " + std::to_string(rows) + " rows";
    if (has("vocab_size") && integer("vocab_size", INT64_MAX) != c_.vocab_size) {
      fail("cfg.vocab", key("vocab_size"), std::to_string(integer("vocab_size", INT64_MAX)) + " tokens",
           found);
    }
    if (file_.has("tokenizer.ggml.tokens")) {
      const size_t tokens = file_.strings("tokenizer.ggml.tokens").size();
      if (tokens > rows)
        fail("cfg.vocab", "tokenizer.ggml.tokens", "a row for each of " + std::to_string(tokens) + " tokens",
             found);
    }
    c_.tie_word_embeddings = file_.find_tensor("output.weight") == nullptr;
  }

  // Which layers slide, and which do not rotate, is not in the file: as llama.cpp has it for the
  // architecture.
  void read_layers() {
    const auto layers = static_cast<size_t>(std::max<std::int64_t>(0, c_.num_hidden_layers));
    if (family_->no_rope_layer_interval) {
      for (size_t i = 0; i < layers; ++i)
        c_.layers_without_rope.push_back((i + 1) % static_cast<size_t>(*family_->no_rope_layer_interval) ==
                                         0);
    }
    const std::int64_t window = has("attention.sliding_window")
                                    ? integer("attention.sliding_window", limits::kContext)
                                : has_layer_pattern() ? family_->defaults.sliding_window
                                                      : 0;
    if (window == 0 || (!has_layer_pattern() && family_->sliding != Family::Sliding::all)) return;
    c_.sliding_window = window;
    c_.sliding_layers = has_layer_pattern() ? patterned(layers) : std::vector<bool>(layers, true);
  }

  std::vector<bool> patterned(size_t layers) const {
    const std::string k = key("attention.sliding_window_pattern");
    if (file_.has(k)) {  // true for each layer that slides, or every how many layers one does not
      if (const auto* stated = std::get_if<std::vector<bool>>(&file_.at(k))) {
        if (stated->size() == layers) return *stated;
        fail("cfg.layers", k, std::to_string(layers) + " layers", std::to_string(stated->size()));
      }
    }
    const auto period = static_cast<size_t>(file_.has(k) ? file_.integer(k, 1, limits::kLayers)
                                            : family_->sliding == Family::Sliding::alternate ? 2
                                                                                             : 6);
    std::vector<bool> sliding;
    for (size_t i = 0; i < layers; ++i) sliding.push_back((i + 1) % period != 0);
    return sliding;
  }

  void read_scores() {
    const auto cap = [&](const char* name, const std::optional<double>& otherwise) {
      return has(name) ? file_.number(key(name)) : otherwise.value_or(0.0);
    };
    c_.attn_logit_softcapping = cap("attn_logit_softcapping", family_->attn_logit_softcapping);
    c_.final_logit_softcapping = cap("final_logit_softcapping", family_->final_logit_softcapping);
    // The 27B models of Gemma 2 and 3 alone scale by E/H instead of D; llama.cpp knows them by their layers.
    const bool is_27b = (arch_ == "gemma2" && c_.num_hidden_layers == 46) ||
                        (arch_ == "gemma3" && c_.num_hidden_layers == 62);
    if (is_27b) c_.query_pre_attn_scalar = static_cast<double>(c_.hidden_size / c_.num_attention_heads);
  }

  bool any_layer_has(std::string_view suffix) const {
    return std::any_of(file_.tensors().begin(), file_.tensors().end(), [&](const GgufTensor& t) {
      return t.name.starts_with("blk.") && t.name.ends_with(suffix);
    });
  }

  void read_biases() {
    const bool qkv =
        any_layer_has(".attn_q.bias") || any_layer_has(".attn_k.bias") || any_layer_has(".attn_v.bias");
    c_.attention_bias = family_->biases == Family::Biases::qkv || qkv;
    // llama.cpp loads these for arch llama only; in a qwen2 file they are surplus tensors and refused as
    // such.
    if (arch_ != "llama") return;
    c_.attention_out_bias = any_layer_has(".attn_output.bias");
    c_.mlp_bias =
        any_layer_has(".ffn_gate.bias") || any_layer_has(".ffn_up.bias") || any_layer_has(".ffn_down.bias");
  }

  std::int64_t token_id(const std::string& k) const {
    const std::int64_t id = file_.integer(k, INT64_MIN, INT64_MAX);
    if (id < 0 || id >= c_.vocab_size) {
      fail("cfg.token_id", k, "0 to " + std::to_string(c_.vocab_size - 1), std::to_string(id));
    }
    return id;
  }

  void read_token_ids() {
    if (file_.has("tokenizer.ggml.bos_token_id")) c_.bos_token_id = token_id("tokenizer.ggml.bos_token_id");
    for (const char* name : {"eos", "eot", "eom"}) {
      const std::string k = "tokenizer.ggml." + std::string(name) + "_token_id";
      if (!file_.has(k)) continue;
      const std::int64_t id = token_id(k);
      auto& ids = c_.eos_token_ids;
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    }
  }

  const Family* family_;
  ModelConfig c_;
};

}  // namespace

ModelConfig config_of(const GgufFile& file) {
  return Reader(file).read();
}

}  // namespace safetylock
