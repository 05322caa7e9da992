#include "model/tensor_table.h"

#include <algorithm>
#include <set>

#include "safetylock/error.h"

namespace safetylock {
namespace {

std::string shape_text(const auto& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

bool same_shape(const std::vector<std::uint64_t>& found, const std::vector<std::int64_t>& expected) {
  return std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
                    [](std::uint64_t f, std::int64_t e) { return f == static_cast<std::uint64_t>(e); });
}

/// Tensors that hold nothing the config does not say: rotary tables of old exports, and the lm_head of a tied
/// model, which the loader compares with the embedding.
bool may_be_extra(const std::string& name, const ModelConfig& config) {
  if (name == "rope_freqs.weight" || name.ends_with(".rotary_emb.inv_freq")) return true;
  return config.tie_word_embeddings && name == "lm_head.weight";
}

[[noreturn]] void refuse(const Checkpoint& checkpoint, std::string code,
                         const std::vector<std::string>& names, const std::string& expected) {
  std::string found = std::to_string(names.size()) + (names.size() == 1 ? " tensor: " : " tensors: ");
  for (size_t i = 0; i < names.size() && i < 3; ++i) found += (i ? ", " : "") + escape_untrusted(names[i]);
  if (names.size() > 3) found += " ...";
  throw Error(
      {.code = std::move(code),
       .file = checkpoint.path(),
       .where = "tensors",
       .expected = expected,
       .found = found,
       .hint = "The weights do not belong to this config (" + checkpoint.config().architecture + ")"});
}

}  // namespace

std::vector<TensorSpec> tensor_table(const ModelConfig& c) {
  using Role = TensorRole;
  const std::int64_t E = c.hidden_size, F = c.intermediate_size, HD = c.attention_size(), GD = c.kv_size();
  std::vector<TensorSpec> table = {
      {Role::embedding, -1, "model.embed_tokens.weight", {c.vocab_size, E}},
      {Role::final_norm, -1, "model.norm.weight", {E}},
  };
  if (!c.tie_word_embeddings) table.push_back({Role::lm_head, -1, "lm_head.weight", {c.vocab_size, E}});
  for (std::int64_t l = 0; l < c.num_hidden_layers; ++l) {
    const std::string prefix = "model.layers." + std::to_string(l) + ".";
    const auto add = [&](Role role, const char* suffix, std::vector<std::int64_t> shape) {
      table.push_back({role, l, prefix + suffix, std::move(shape)});
    };
    add(Role::input_norm, "input_layernorm.weight", {E});
    add(Role::q_weight, "self_attn.q_proj.weight", {HD, E});
    add(Role::k_weight, "self_attn.k_proj.weight", {GD, E});
    add(Role::v_weight, "self_attn.v_proj.weight", {GD, E});
    add(Role::o_weight, "self_attn.o_proj.weight", {E, HD});
    add(Role::post_norm, "post_attention_layernorm.weight", {E});
    add(Role::gate_weight, "mlp.gate_proj.weight", {F, E});
    add(Role::up_weight, "mlp.up_proj.weight", {F, E});
    add(Role::down_weight, "mlp.down_proj.weight", {E, F});
    if (c.attention_bias) {
      add(Role::q_bias, "self_attn.q_proj.bias", {HD});
      add(Role::k_bias, "self_attn.k_proj.bias", {GD});
      add(Role::v_bias, "self_attn.v_proj.bias", {GD});
    }
    if (c.attention_out_bias) add(Role::o_bias, "self_attn.o_proj.bias", {E});
    if (c.mlp_bias) {
      add(Role::gate_bias, "mlp.gate_proj.bias", {F});
      add(Role::up_bias, "mlp.up_proj.bias", {F});
      add(Role::down_bias, "mlp.down_proj.bias", {E});
    }
  }
  return table;
}

void check_tensors(const Checkpoint& checkpoint) {
  std::set<std::string> known;
  std::vector<std::string> missing, extra;
  for (const TensorSpec& spec : tensor_table(checkpoint.config())) {
    known.insert(spec.name);
    const CheckpointTensor* tensor = checkpoint.find(spec.name);
    if (tensor == nullptr) {
      missing.push_back(spec.name);
    } else if (!same_shape(tensor->shape, spec.shape)) {
      throw Error({.code = "model.tensor_shape",
                   .file = checkpoint.path(),
                   .where = "tensor " + spec.name,
                   .expected = "shape " + shape_text(spec.shape) + " as the config says",
                   .found = shape_text(tensor->shape)});
    }
  }
  if (!missing.empty())
    refuse(checkpoint, "model.tensor_missing", missing, "every tensor of the architecture");
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if (!known.contains(tensor.name) && !may_be_extra(tensor.name, checkpoint.config())) {
      extra.push_back(tensor.name);
    }
  }
  if (!extra.empty()) refuse(checkpoint, "model.tensor_extra", extra, "no tensor that would be ignored");
}

}  // namespace safetylock
