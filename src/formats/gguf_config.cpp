#include "formats/gguf_config.h"

#include <algorithm>
#include <array>

#include "formats/checkpoint_tensors.h"
#include "formats/config_limits.h"
#include "formats/gguf_parser.h"
#include "safetylock/error.h"

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

class Reader {
 public:
  explicit Reader(const GgufFile& file) : file_(file), arch_(file.architecture()) {}

  ModelConfig read() {
    set_architecture();
    refuse_unknown_keys();
    refuse_unsupported();
    read_dimensions();
    read_vocabulary();
    read_rope();
    read_biases();
    read_token_ids();
    validate(c_, file_.path());
    return c_;
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, file_.path(), where, expected, found, hint});
  }
  std::string key(std::string_view name) const { return arch_ + "." + std::string(name); }
  bool has(std::string_view name) const { return file_.has(key(name)); }
  std::int64_t integer(std::string_view name, std::int64_t limit) const {
    return file_.integer(key(name), 0, limit);
  }

  void set_architecture() {
    if (arch_ == "llama") {
      c_.architecture = "LlamaForCausalLM";
    } else if (arch_ == "qwen2") {
      c_.architecture = "Qwen2ForCausalLM";
    } else {
      fail("cfg.unsupported", "general.architecture", "llama or qwen2",
           "\"" + escape_untrusted(arch_) + "\"");
    }
    c_.model_type = arch_;
  }

  void refuse_unknown_keys() const {
    const std::string prefix = arch_ + ".";
    for (const std::string& k : file_.metadata_keys()) {
      if (k.substr(0, prefix.size()) != prefix) continue;
      const std::string_view name = std::string_view(k).substr(prefix.size());
      if (std::find(kKnownKeys.begin(), kKnownKeys.end(), name) != kKnownKeys.end()) continue;
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
    if (has("attention.sliding_window") && integer("attention.sliding_window", INT64_MAX) > 0) {
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

  void read_rope() {
    c_.rope_theta = has("rope.freq_base") ? file_.number(key("rope.freq_base")) : 10000.0;
    if (has("rope.dimension_count") && integer("rope.dimension_count", limits::kHeadDim) != c_.head_dim) {
      fail("cfg.unsupported", key("rope.dimension_count"),
           "the head dimension, " + std::to_string(c_.head_dim),
           gguf::describe(file_.at(key("rope.dimension_count"))),
           "Partial rotary embeddings are not supported");
    }
    read_rope_scaling();
    read_rope_divisors();
  }

  void read_rope_scaling() {
    if (has("rope.scaling.attn_factor") && file_.number(key("rope.scaling.attn_factor")) != 1.0) {
      fail("cfg.unsupported", key("rope.scaling.attn_factor"), "1",
           gguf::describe(file_.at(key("rope.scaling.attn_factor"))));
    }
    const std::string type = has("rope.scaling.type") ? file_.string(key("rope.scaling.type")) : "";
    if (type == "linear" || (type.empty() && has("rope.scale_linear"))) {
      c_.rope_scaling.type = RopeScaling::Type::linear;
      c_.rope_scaling.factor =
          file_.number(key(has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear"));
    } else if (!type.empty() && type != "none") {
      fail("cfg.unsupported", key("rope.scaling.type"), "none or linear",
           "\"" + escape_untrusted(type) + "\"", "Ignoring it would give wrong text quietly");
    }
  }

  // llama.cpp's converter stores the llama3 rule as divisors of the inverse frequencies.
  void read_rope_divisors() {
    const GgufTensor* t = file_.find_tensor("rope_freqs.weight");
    if (t == nullptr) return;
    if (c_.rope_scaling.type != RopeScaling::Type::none) {
      fail("cfg.unsupported", "rope_freqs.weight", "one kind of rope scaling",
           "rope_freqs.weight beside rope.scaling");
    }
    const std::vector<std::uint64_t> want = {static_cast<std::uint64_t>(c_.head_dim / 2)};
    if (t->type != GgmlType::F32 || t->shape != want) {
      fail("model.tensor_shape", "rope_freqs.weight", "F32 " + shape_text(want),
           ggml_type_name(static_cast<std::uint32_t>(t->type)) + " " + shape_text(t->shape));
    }
    c_.rope_scaling.type = RopeScaling::Type::llama3;
    c_.rope_scaling.frequency_divisors.resize(want[0]);
    file_.file_of(*t).read_at(t->offset,
                              std::as_writable_bytes(std::span(c_.rope_scaling.frequency_divisors)));
  }

  bool any_layer_has(std::string_view suffix) const {
    return std::any_of(file_.tensors().begin(), file_.tensors().end(), [&](const GgufTensor& t) {
      return t.name.starts_with("blk.") && t.name.ends_with(suffix);
    });
  }

  void read_biases() {
    const bool qkv =
        any_layer_has(".attn_q.bias") || any_layer_has(".attn_k.bias") || any_layer_has(".attn_v.bias");
    c_.attention_bias = arch_ == "qwen2" || qkv;
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

  const GgufFile& file_;
  std::string arch_;
  ModelConfig c_;
};

}  // namespace

ModelConfig config_of(const GgufFile& file) {
  return Reader(file).read();
}

}  // namespace safetylock
