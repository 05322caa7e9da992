// Tiny models of one shape whose kinship is known: copies of a tiny model that compute the same function in
// other bases or with other head numbers.
#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "support/tiny_model.h"

namespace safetylock::test {

/// The attention weights of one layer of a checkpoint, as blocks of head_dim rows or columns.
class HeadWeights {
 public:
  HeadWeights(MemoryCheckpoint& checkpoint, std::int64_t layer)
      : checkpoint_(checkpoint), prefix_("model.layers." + std::to_string(layer) + ".self_attn.") {}

  /// Head i becomes what head order[i] was, and so do the keys and values of `groups`.
  void permute(const std::vector<std::int64_t>& order, const std::vector<std::int64_t>& groups) {
    rows("q_proj", order);
    rows("k_proj", groups);
    rows("v_proj", groups);
    const at::Tensor o = out();
    set_out(o.index_select(1, at::tensor(order, at::kLong)));
  }

  /// Every head's output is turned by `angle` in each plane of dimensions 2k and 2k + 1; o_proj turns it
  /// back.
  void turn(double angle) {
    const std::int64_t dim = config().head_dim;
    const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
    const auto turned = [&](const at::Tensor& blocks) {  // [.., D, ..] with D second
      const at::Tensor planes = blocks.unflatten(1, {dim / 2, 2});
      const at::Tensor x = planes.select(2, 0), y = planes.select(2, 1);
      return at::stack({c * x - s * y, s * x + c * y}, 2).flatten(1, 2);
    };
    const at::Tensor v = tensor("v_proj").view({config().num_key_value_heads, dim, -1});
    set("v_proj", turned(v).flatten(0, 1));
    const at::Tensor o = out();  // [E, H, D]
    set_out(turned(o.flatten(0, 1).unsqueeze(-1)).view(o.sizes()));
  }

  /// What this layer's heads give, times `factor`; o_proj is left alone, so the function changes.
  void scale_values(double factor) { set("v_proj", factor * tensor("v_proj")); }
  /// The same with a factor of its own for each dimension, 1 - size to 1 + size: no norm takes it back.
  void tilt_values(double size) {
    const at::Tensor v = tensor("v_proj");
    set("v_proj", v * (1 + size * at::sin(3 * at::arange(v.size(0)))).unsqueeze(1));
  }

 private:
  const ModelConfig& config() const { return checkpoint_.config(); }
  at::Tensor tensor(const std::string& name) const {
    const std::vector<float>& values = checkpoint_.mutable_values(prefix_ + name + ".weight");
    return at::tensor(values).view({-1, name == "o_proj" ? config().attention_size() : config().hidden_size});
  }
  void set(const std::string& name, const at::Tensor& weights) {
    const at::Tensor flat = weights.contiguous().flatten();
    const float* data = flat.const_data_ptr<float>();
    checkpoint_.mutable_values(prefix_ + name + ".weight").assign(data, data + flat.numel());
  }
  at::Tensor out() const {
    return tensor("o_proj").view({config().hidden_size, config().num_attention_heads, config().head_dim});
  }
  void set_out(const at::Tensor& weights) { set("o_proj", weights.flatten(1)); }
  void rows(const std::string& name, const std::vector<std::int64_t>& order) {
    const auto blocks = static_cast<std::int64_t>(order.size());
    const at::Tensor w = tensor(name);
    set(name, w.view({blocks, config().head_dim, -1}).index_select(0, at::tensor(order, at::kLong)));
  }

  MemoryCheckpoint& checkpoint_;
  std::string prefix_;
};

/// `checkpoint` with the tokenizer and template of `tiny_model`.
inline CausalLM model_of(std::unique_ptr<const Checkpoint> checkpoint, const std::string& tiny_model) {
  const std::string path = tiny_model_path(tiny_model);
  auto impl = load_decoder(std::move(checkpoint), {.device = "cpu", .dtype = "float32"});
  impl->tokenizer = Tokenizer::from_pretrained(path);
  impl->chat_template = ChatTemplate::from_pretrained(path);
  return CausalLM(std::move(impl));
}

/// `tiny_model` with its tokenizer and template, and `change` made to each layer's attention.
inline CausalLM changed_model(const std::string& tiny_model,
                              const std::function<void(std::int64_t layer, HeadWeights&)>& change) {
  std::unique_ptr<MemoryCheckpoint> checkpoint = MemoryCheckpoint::copy_of(tiny_model);
  for (std::int64_t layer = 0; layer < checkpoint->config().num_hidden_layers; ++layer) {
    HeadWeights weights(*checkpoint, layer);
    change(layer, weights);
  }
  return model_of(std::move(checkpoint), tiny_model);
}

}  // namespace safetylock::test
