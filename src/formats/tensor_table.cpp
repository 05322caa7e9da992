#include "formats/tensor_table.h"

namespace safetylock {
namespace {

using Role = TensorRole;

class Table {
 public:
  explicit Table(const ModelConfig& c) : c_(c) {}

  std::vector<TensorSpec> build() {
    add(Role::embedding, "model.embed_tokens.weight", "token_embd.weight", {V, E});
    for (layer_ = 0; layer_ < c_.num_hidden_layers; ++layer_) add_layer();
    layer_ = -1;
    add(Role::final_norm, "model.norm.weight", "output_norm.weight", {E});
    if (!c_.tie_word_embeddings) add(Role::lm_head, "lm_head.weight", "output.weight", {V, E});
    return std::move(table_);
  }

 private:
  using Shape = std::vector<std::uint64_t>;
  static std::uint64_t extent(std::int64_t n) { return static_cast<std::uint64_t>(n); }

  void add(Role role, const std::string& name, const std::string& gguf, Shape shape) {
    const std::string l = std::to_string(layer_);
    table_.push_back({role, layer_, layer_ < 0 ? name : "model.layers." + l + "." + name,
                      layer_ < 0 ? gguf : "blk." + l + "." + gguf, std::move(shape)});
  }
  void norm(Role role, const std::string& name, const std::string& gguf, std::uint64_t size) {
    add(role, name + ".weight", gguf + ".weight", {size});
  }
  void linear(Role role, const std::string& name, const std::string& gguf, std::uint64_t rows,
              std::uint64_t columns) {
    add(role, name + ".weight", gguf + ".weight", {rows, columns});
  }
  void bias(bool there, Role role, const std::string& name, const std::string& gguf, std::uint64_t rows) {
    if (there) add(role, name + ".bias", gguf + ".bias", {rows});
  }

  void add_layer() {
    norm(Role::input_norm, "input_layernorm", "attn_norm", E);
    if (c_.fused_projections) {
      linear(Role::qkv_weight, "self_attn.qkv_proj", "attn_qkv", HD + 2 * GD, E);
    } else {
      linear(Role::q_weight, "self_attn.q_proj", "attn_q", HD, E);
      bias(c_.attention_bias, Role::q_bias, "self_attn.q_proj", "attn_q", HD);
      linear(Role::k_weight, "self_attn.k_proj", "attn_k", GD, E);
      bias(c_.attention_bias, Role::k_bias, "self_attn.k_proj", "attn_k", GD);
      linear(Role::v_weight, "self_attn.v_proj", "attn_v", GD, E);
      bias(c_.attention_bias, Role::v_bias, "self_attn.v_proj", "attn_v", GD);
    }
    if (c_.qk_norm) {
      norm(Role::q_norm, "self_attn.q_norm", "attn_q_norm", D);
      norm(Role::k_norm, "self_attn.k_norm", "attn_k_norm", D);
    }
    linear(Role::o_weight, "self_attn.o_proj", "attn_output", E, HD);
    bias(c_.attention_out_bias, Role::o_bias, "self_attn.o_proj", "attn_output", E);
    // Hugging Face gives the name post_attention_layernorm to the norm before the MLP where there is no
    // other.
    if (c_.sandwich_norm) {
      norm(Role::attn_output_norm, "post_attention_layernorm", "post_attention_norm", E);
      norm(Role::mlp_norm, "pre_feedforward_layernorm", "ffn_norm", E);
    } else {
      norm(Role::mlp_norm, "post_attention_layernorm", "ffn_norm", E);
    }
    if (c_.fused_projections) {
      linear(Role::gate_up_weight, "mlp.gate_up_proj", "ffn_up", 2 * F, E);
    } else {
      linear(Role::gate_weight, "mlp.gate_proj", "ffn_gate", F, E);
      bias(c_.mlp_bias, Role::gate_bias, "mlp.gate_proj", "ffn_gate", F);
      linear(Role::up_weight, "mlp.up_proj", "ffn_up", F, E);
      bias(c_.mlp_bias, Role::up_bias, "mlp.up_proj", "ffn_up", F);
    }
    linear(Role::down_weight, "mlp.down_proj", "ffn_down", E, F);
    bias(c_.mlp_bias, Role::down_bias, "mlp.down_proj", "ffn_down", E);
    if (c_.sandwich_norm) norm(Role::mlp_output_norm, "post_feedforward_layernorm", "post_ffw_norm", E);
  }

  const ModelConfig& c_;
  const std::uint64_t V = extent(c_.vocab_size), E = extent(c_.hidden_size), F = extent(c_.intermediate_size),
                      D = extent(c_.head_dim), HD = extent(c_.attention_size()), GD = extent(c_.kv_size());
  std::int64_t layer_ = -1;
  std::vector<TensorSpec> table_;
};

}  // namespace

std::vector<TensorSpec> tensor_table(const ModelConfig& config) {
  return Table(config).build();
}

}  // namespace safetylock
