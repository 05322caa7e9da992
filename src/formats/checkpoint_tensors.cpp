#include "formats/checkpoint_tensors.h"

#include <bit>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/checked.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::string_view kLayerPrefix = "model.layers.";

std::uint64_t extent(std::int64_t n) {
  return static_cast<std::uint64_t>(n);
}

void add_layer(std::vector<CheckpointTensor>& out, const ModelConfig& c, std::int64_t layer) {
  const std::string prefix = std::string(kLayerPrefix) + std::to_string(layer) + ".";
  const std::uint64_t hidden = extent(c.hidden_size);
  const std::uint64_t inner = extent(c.intermediate_size);
  const std::uint64_t q = extent(c.attention_size());
  const std::uint64_t kv = extent(c.kv_size());
  const auto linear = [&](const std::string& name, std::uint64_t rows, std::uint64_t columns, bool bias) {
    out.push_back({prefix + name + ".weight", {rows, columns}, ""});
    if (bias) out.push_back({prefix + name + ".bias", {rows}, ""});
  };
  out.push_back({prefix + "input_layernorm.weight", {hidden}, ""});
  linear("self_attn.q_proj", q, hidden, c.attention_bias);
  linear("self_attn.k_proj", kv, hidden, c.attention_bias);
  linear("self_attn.v_proj", kv, hidden, c.attention_bias);
  linear("self_attn.o_proj", hidden, q, c.attention_out_bias);
  out.push_back({prefix + "post_attention_layernorm.weight", {hidden}, ""});
  linear("mlp.gate_proj", inner, hidden, c.mlp_bias);
  linear("mlp.up_proj", inner, hidden, c.mlp_bias);
  linear("mlp.down_proj", hidden, inner, c.mlp_bias);
}

// The layer a tensor belongs to.
std::optional<std::int64_t> layer_of(std::string_view name) {
  if (name.substr(0, kLayerPrefix.size()) != kLayerPrefix) return std::nullopt;
  std::int64_t layer = 0;
  size_t i = kLayerPrefix.size();
  const size_t begin = i;
  for (; i < name.size() && name[i] >= '0' && name[i] <= '9' && i < begin + 9; ++i)
    layer = layer * 10 + (name[i] - '0');
  if (i == begin || i >= name.size() || name[i] != '.') return std::nullopt;
  return layer;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

[[noreturn]] void fail_shape(const ModelConfig& c, const CheckpointTensor& want, const CheckpointTensor& have,
                             const std::string& file) {
  const auto number = [](std::int64_t n) { return std::to_string(n); };
  std::string code = "model.tensor_shape";
  std::string rule;
  if (contains(want.name, "q_proj") || contains(want.name, "o_proj.weight")) {
    code = "cfg.shape_conflict";
    rule = " (heads " + number(c.num_attention_heads) + " x head_dim " + number(c.head_dim) + ")";
  } else if (contains(want.name, "k_proj") || contains(want.name, "v_proj")) {
    code = "cfg.kv_heads";
    rule = " (key/value heads " + number(c.num_key_value_heads) + " x head_dim " + number(c.head_dim) + ")";
  } else if (contains(want.name, "embed_tokens") || contains(want.name, "lm_head")) {
    code = "cfg.vocab";
    rule = " (vocab_size " + number(c.vocab_size) + " x hidden_size " + number(c.hidden_size) + ")";
  }
  throw Error({code, file, want.name, shape_text(want.shape) + rule, shape_text(have.shape),
               "The config and the tensors do not belong together"});
}

[[noreturn]] void fail_extra(const ModelConfig& c, const CheckpointTensor& tensor, const std::string& file) {
  const std::string name = escape_untrusted(tensor.name);
  const auto layer = layer_of(tensor.name);
  if (layer && *layer >= c.num_hidden_layers) {
    throw Error({"cfg.layers", file, "num_hidden_layers", std::to_string(c.num_hidden_layers) + " layers",
                 "tensor \"" + name + "\"", "The config and the tensors do not belong together"});
  }
  std::string hint = "The model would compute something else than this library";
  if (contains(tensor.name, "o_proj.bias") && c.model_type == "qwen2") {
    hint =
        "No engine loads an o_proj bias for Qwen2: it would be ignored in silence, and a lock in it with it";
  } else if (tensor.name.size() > 5 && contains(tensor.name, ".bias")) {
    hint =
        "A bias that the config does not announce is ignored in silence by some engines; set attention_bias "
        "or mlp_bias";
  }
  throw Error({"model.tensor_extra", file, name, "only the tensors of " + c.architecture,
               shape_text(tensor.shape), hint});
}

}  // namespace

std::vector<CheckpointTensor> expected_tensors(const ModelConfig& c) {
  std::vector<CheckpointTensor> out;
  const std::uint64_t vocab = extent(c.vocab_size);
  const std::uint64_t hidden = extent(c.hidden_size);
  out.push_back({"model.embed_tokens.weight", {vocab, hidden}, ""});
  for (std::int64_t layer = 0; layer < c.num_hidden_layers; ++layer) add_layer(out, c, layer);
  out.push_back({"model.norm.weight", {hidden}, ""});
  if (!c.tie_word_embeddings) out.push_back({"lm_head.weight", {vocab, hidden}, ""});
  return out;
}

void check_tensors(const ModelConfig& c, std::span<const CheckpointTensor> tensors, const std::string& file) {
  std::unordered_map<std::string_view, const CheckpointTensor*> have;
  std::unordered_set<std::int64_t> layers;
  for (const CheckpointTensor& t : tensors) {
    have.emplace(t.name, &t);
    if (const auto layer = layer_of(t.name)) layers.insert(*layer);
  }
  size_t matched = 0;
  for (const CheckpointTensor& want : expected_tensors(c)) {
    const auto it = have.find(want.name);
    if (it == have.end()) {
      const auto layer = layer_of(want.name);
      const bool whole_layer = layer && !layers.contains(*layer);
      throw Error({whole_layer ? "cfg.layers" : "model.tensor_missing", file,
                   whole_layer ? "num_hidden_layers" : want.name,
                   whole_layer ? std::to_string(c.num_hidden_layers) + " layers" : "the tensor to be there",
                   whole_layer ? "no tensor of layer " + std::to_string(*layer) : "no such tensor",
                   "The file is incomplete, or its config does not belong to it"});
    }
    if (it->second->shape != want.shape) fail_shape(c, want, *it->second, file);
    have.erase(it);
    ++matched;
  }
  if (matched == tensors.size()) return;
  for (const CheckpointTensor& t : tensors) {
    if (have.contains(t.name)) fail_extra(c, t, file);
  }
}

std::string shape_text(std::span<const std::uint64_t> shape) {
  std::string text = "[";
  for (const std::uint64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + "]";
}

void find_non_finite(std::span<const float> values, std::uint64_t begin, NonFinite& found) {
  constexpr std::uint32_t kExponent = 0x7F800000U;
  std::uint32_t any = 0;
  for (const float v : values)
    any |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(v) & kExponent) == kExponent);
  if (any == 0) return;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    if (found.count++ == 0) found.first = begin + i;
  }
}

void refuse_non_finite(const NonFinite& found, const std::string& file, const CheckpointTensor& tensor) {
  if (found.count == 0) return;
  throw Error({"num.nonfinite", file, "tensor \"" + escape_untrusted(tensor.name) + "\"", "finite values",
               std::to_string(found.count) + " NaN or infinite, the first at flat index " +
                   std::to_string(found.first) + " (stored as " + tensor.storage + ")",
               "The model is damaged"});
}

std::uint64_t check_row_range(const CheckpointTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                              size_t room) {
  const std::uint64_t rows = tensor.shape.empty() ? 1 : tensor.shape.front();
  const auto columns = tensor.shape.empty() ? 1 : checked::product(std::span(tensor.shape).subspan(1));
  const bool in_range = row_begin <= row_end && row_end <= rows && columns;
  const auto values = in_range ? checked::mul(row_end - row_begin, *columns) : std::nullopt;
  if (!values || *values != room) {
    throw Error({"arg.shape", "", "read_rows of \"" + escape_untrusted(tensor.name) + "\"",
                 "rows within " + shape_text(tensor.shape) + " and room for their values",
                 "rows " + std::to_string(row_begin) + " to " + std::to_string(row_end) + ", room for " +
                     std::to_string(room),
                 ""});
  }
  return *columns;
}

}  // namespace safetylock
