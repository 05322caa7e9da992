#include "formats/checkpoint_tensors.h"

#include <bit>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/checked.h"
#include "formats/families.h"
#include "formats/tensor_table.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

// The layer a tensor belongs to, under its Hugging Face or its GGUF name.
std::optional<std::int64_t> layer_of(std::string_view name) {
  size_t i = 0;
  for (const std::string_view prefix : {"model.layers.", "blk."})
    if (name.starts_with(prefix)) i = prefix.size();
  if (i == 0) return std::nullopt;
  std::int64_t layer = 0;
  const size_t begin = i;
  for (; i < name.size() && name[i] >= '0' && name[i] <= '9' && i < begin + 9; ++i)
    layer = layer * 10 + (name[i] - '0');
  if (i == begin || i >= name.size() || name[i] != '.') return std::nullopt;
  return layer;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

[[noreturn]] void fail_shape(const ModelConfig& c, const TensorSpec& want, const CheckpointTensor& have,
                             const std::string& file) {
  using Role = TensorRole;
  const auto number = [](std::int64_t n) { return std::to_string(n); };
  std::string code = "model.tensor_shape";
  std::string rule;
  switch (want.role) {
    case Role::q_weight:
    case Role::q_bias:
    case Role::o_weight:
      code = "cfg.shape_conflict";
      rule = " (heads " + number(c.num_attention_heads) + " x head_dim " + number(c.head_dim) + ")";
      break;
    case Role::k_weight:
    case Role::k_bias:
    case Role::v_weight:
    case Role::v_bias:
      code = "cfg.kv_heads";
      rule = " (key/value heads " + number(c.num_key_value_heads) + " x head_dim " + number(c.head_dim) + ")";
      break;
    case Role::qkv_weight:
      code = "cfg.shape_conflict";
      rule = " (heads " + number(c.num_attention_heads) + " and twice key/value heads " +
             number(c.num_key_value_heads) + " x head_dim " + number(c.head_dim) + ")";
      break;
    case Role::embedding:
    case Role::lm_head:
      code = "cfg.vocab";
      rule = " (vocab_size " + number(c.vocab_size) + " x hidden_size " + number(c.hidden_size) + ")";
      break;
    default:
      break;
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
  if (contains(tensor.name, "o_proj.bias") &&
      family_of_class(c.architecture)->biases != Family::Biases::by_config) {
    hint = "transformers loads no o_proj bias for " + c.architecture +
           ": it would be ignored in silence, and a lock in it with it";
  } else if (tensor.name.size() > 5 && contains(tensor.name, ".bias")) {
    hint =
        "A bias that the config does not announce is ignored in silence by some engines; set attention_bias "
        "or mlp_bias";
  }
  throw Error({"model.tensor_extra", file, name, "only the tensors of " + c.architecture,
               shape_text(tensor.shape), hint});
}

}  // namespace

void check_tensors(const ModelConfig& c, std::span<const CheckpointTensor> tensors, const std::string& file) {
  std::unordered_map<std::string_view, const CheckpointTensor*> have;
  std::unordered_set<std::int64_t> layers;
  for (const CheckpointTensor& t : tensors) {
    if (!have.emplace(t.name, &t).second) fail_extra(c, t, file);
    if (const auto layer = layer_of(t.name)) layers.insert(*layer);
  }
  size_t matched = 0;
  for (const TensorSpec& want : tensor_table(c)) {
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
