#include "bake/lock_bias.h"

#include <algorithm>
#include <cmath>

#include "formats/checkpoint_tensors.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

// Locked heads that stand side by side, as one piece of each row of W_o.
struct Piece {
  std::uint64_t column = 0;
  std::vector<double> displacement;  // sigma * direction
};

std::vector<Piece> pieces_of(const SafetyLock& lock, std::int64_t layer) {
  std::vector<const HeadDirection*> heads;
  for (const HeadDirection& head : lock.heads()) {
    if (head.id.layer == layer) heads.push_back(&head);
  }
  std::sort(heads.begin(), heads.end(), [](const auto* a, const auto* b) { return a->id < b->id; });
  std::vector<Piece> pieces;
  for (const HeadDirection* head : heads) {
    const std::uint64_t column = static_cast<std::uint64_t>(head->id.head) * head->direction.size();
    if (pieces.empty() || pieces.back().column + pieces.back().displacement.size() != column)
      pieces.push_back({column, {}});
    for (const float value : head->direction)
      pieces.back().displacement.push_back(static_cast<double>(head->sigma) * static_cast<double>(value));
  }
  return pieces;
}

double product(const float* weights, const std::vector<double>& displacement) {
  double sum = 0;
  for (size_t j = 0; j < displacement.size(); ++j) sum += static_cast<double>(weights[j]) * displacement[j];
  return sum;
}

std::vector<double> from_files(const ModelTensors& model, const std::string& name, std::uint64_t rows,
                               std::uint64_t columns, const std::vector<Piece>& pieces) {
  std::vector<double> sums(rows);
  std::vector<float> values;
  for (const Piece& piece : pieces) {
    values.resize(piece.displacement.size());
    for (std::uint64_t e = 0; e < rows; ++e) {
      model.read(name, e * columns + piece.column, values);
      sums[e] += product(values.data(), piece.displacement);
    }
  }
  return sums;
}

std::vector<double> from_memory(const std::vector<float>& weights, std::uint64_t rows, std::uint64_t columns,
                                const std::vector<Piece>& pieces) {
  std::vector<double> sums(rows);
  for (const Piece& piece : pieces) {
    for (std::uint64_t e = 0; e < rows; ++e)
      sums[e] += product(weights.data() + e * columns + piece.column, piece.displacement);
  }
  return sums;
}

void add_lora(const LoraModule& module, const std::vector<Piece>& pieces, std::vector<double>& sums) {
  std::vector<double> inner(module.rank);  // A d
  for (std::uint64_t r = 0; r < module.rank; ++r) {
    for (const Piece& piece : pieces)
      inner[r] += product(module.a.data() + r * module.in_features + piece.column, piece.displacement);
  }
  for (std::uint64_t e = 0; e < module.out_features; ++e)
    sums[e] += module.scale * product(module.b.data() + e * module.rank, inner);
}

}  // namespace

std::vector<double> lock_bias(const ModelTensors& model, const SafetyLock& lock, std::int64_t layer,
                              const LoraAdapter* adapter) {
  const std::string name = o_weight_name(layer);
  const auto rows = static_cast<std::uint64_t>(lock.identity().hidden_size);
  const auto columns =
      static_cast<std::uint64_t>(lock.identity().num_attention_heads * lock.identity().head_dim);
  const std::optional<TensorInfo> info = model.find(name);
  if (!info)
    throw Error({"model.tensor_missing", model.path(), name, "the tensor to be there", "no such tensor", ""});
  const std::vector<std::uint64_t> wanted = {rows, columns};
  if (info->shape != wanted) {
    throw Error({"model.tensor_shape", model.path(), name, shape_text(wanted), shape_text(info->shape), ""});
  }
  const std::vector<Piece> pieces = pieces_of(lock, layer);
  const LoraReplacement* replaced = adapter == nullptr ? nullptr : adapter->find_replacement(name);
  std::vector<double> sums = replaced == nullptr ? from_files(model, name, rows, columns, pieces)
                                                 : from_memory(replaced->values, rows, columns, pieces);
  if (const LoraModule* module = adapter == nullptr ? nullptr : adapter->find(name))
    add_lora(*module, pieces, sums);
  if (std::all_of(sums.begin(), sums.end(), [](double v) { return std::isfinite(v); })) return sums;
  throw Error({"num.nonfinite", model.path(), name, "finite numbers in the locked heads' columns",
               "NaN or infinity", "The model's weights are damaged"});
}

}  // namespace safetylock
