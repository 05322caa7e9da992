#include "model/weights.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "formats/checkpoint_tensors.h"
#include "formats/tensor_table.h"
#include "model/memory_check.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// Floats converted at a time by one thread: fits its level-2 cache.
constexpr std::int64_t kChunkValues = 1 << 16;

/// Before the first touch: a lock reads a few columns of every row of W_o, and finding the row's page costs
/// more than reading it. Only a wish; the system may have none, and small tensors have none either.
void ask_for_huge_pages([[maybe_unused]] const at::Tensor& tensor) {
#if defined(__linux__)
  if (!tensor.is_cpu()) return;
  constexpr std::uintptr_t kHugePage = std::uintptr_t{1} << 21;
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.data_ptr());
  const std::uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t last = (begin + tensor.nbytes()) / kHugePage * kHugePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

Weights allocate(const ModelConfig& c, const at::TensorOptions& options) {
  const std::int64_t E = c.hidden_size, F = c.intermediate_size, D = c.head_dim, HD = c.attention_size(),
                     GD = c.kv_size();
  const auto empty = [&](at::IntArrayRef shape) {
    const at::Tensor tensor = at::empty(shape, options);
    ask_for_huge_pages(tensor);
    return tensor;
  };
  Weights w;
  w.embedding = empty({c.vocab_size, E});
  w.final_norm = empty({E});
  w.lm_head = c.tie_word_embeddings ? w.embedding : empty({c.vocab_size, E});
  w.layers.resize(static_cast<size_t>(c.num_hidden_layers));
  for (LayerWeights& layer : w.layers) {
    layer.input_norm = empty({E});
    layer.qkv = empty({HD + 2 * GD, E});
    layer.o_proj = empty({E, HD});
    layer.mlp_norm = empty({E});
    layer.gate_up = empty({2 * F, E});
    layer.down = empty({E, F});
    if (c.attention_bias) layer.qkv_bias = empty({HD + 2 * GD});
    if (c.attention_out_bias) layer.o_proj_bias = empty({E});
    if (c.mlp_bias) {
      layer.gate_up_bias = empty({2 * F});
      layer.down_bias = empty({E});
    }
    if (c.qk_norm) {
      layer.q_norm = empty({D});
      layer.k_norm = empty({D});
    }
    if (c.sandwich_norm) {
      layer.attn_output_norm = empty({E});
      layer.mlp_output_norm = empty({E});
    }
  }
  return w;
}

/// Where in `w` the tensor of `spec` belongs: a whole tensor or rows of a fused one.
at::Tensor destination(const Weights& w, const ModelConfig& c, const TensorSpec& spec) {
  using Role = TensorRole;
  const std::int64_t F = c.intermediate_size, HD = c.attention_size(), GD = c.kv_size();
  if (spec.role == Role::embedding) return w.embedding;
  if (spec.role == Role::final_norm) return w.final_norm;
  if (spec.role == Role::lm_head) return w.lm_head;
  const LayerWeights& layer = w.layers.at(static_cast<size_t>(spec.layer));
  switch (spec.role) {
    case Role::input_norm:
      return layer.input_norm;
    case Role::q_weight:
      return layer.qkv.narrow(0, 0, HD);
    case Role::k_weight:
      return layer.qkv.narrow(0, HD, GD);
    case Role::v_weight:
      return layer.qkv.narrow(0, HD + GD, GD);
    case Role::qkv_weight:
      return layer.qkv;
    case Role::q_norm:
      return layer.q_norm;
    case Role::k_norm:
      return layer.k_norm;
    case Role::q_bias:
      return layer.qkv_bias.narrow(0, 0, HD);
    case Role::k_bias:
      return layer.qkv_bias.narrow(0, HD, GD);
    case Role::v_bias:
      return layer.qkv_bias.narrow(0, HD + GD, GD);
    case Role::o_weight:
      return layer.o_proj;
    case Role::o_bias:
      return layer.o_proj_bias;
    case Role::attn_output_norm:
      return layer.attn_output_norm;
    case Role::mlp_norm:
      return layer.mlp_norm;
    case Role::gate_weight:
      return layer.gate_up.narrow(0, 0, F);
    case Role::up_weight:
      return layer.gate_up.narrow(0, F, F);
    case Role::gate_up_weight:
      return layer.gate_up;
    case Role::gate_bias:
      return layer.gate_up_bias.narrow(0, 0, F);
    case Role::up_bias:
      return layer.gate_up_bias.narrow(0, F, F);
    case Role::down_weight:
      return layer.down;
    case Role::down_bias:
      return layer.down_bias;
    case Role::mlp_output_norm:
      return layer.mlp_output_norm;
    default:
      break;
  }
  throw Error({.code = "model.tensor_missing", .where = spec.name, .expected = "a place for the tensor"});
}

/// Rounding to float16 can overflow where the file's values are finite.
void check_fits_float16(const std::string& file, const CheckpointTensor& source, std::int64_t first,
                        std::span<const float> values) {
  constexpr float kRoundsToInfinity = 65520.0F;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::abs(values[i]) >= kRoundsToInfinity) {
      throw Error({.code = "num.nonfinite",
                   .file = file,
                   .where = "tensor " + escape_untrusted(source.name) + ", value " +
                            std::to_string(first + static_cast<std::int64_t>(i)),
                   .expected = "a value within float16's range",
                   .found = std::to_string(values[i]),
                   .hint = "Load the model with dtype bfloat16 or float32"});
    }
  }
}

/// Calls `use(first_row, rows, values)` for all rows of `source` on all threads, a cache-sized chunk at a
/// time.
void for_row_chunks(const Checkpoint& checkpoint, const CheckpointTensor& source,
                    const std::function<void(std::int64_t, std::int64_t, std::span<float>)>& use) {
  const auto rows = static_cast<std::int64_t>(source.shape.at(0));
  const auto columns = source.shape.size() > 1 ? static_cast<std::int64_t>(source.shape.at(1)) : 1;
  const std::int64_t chunk = std::max<std::int64_t>(1, kChunkValues / columns);
  at::parallel_for(0, (rows + chunk - 1) / chunk, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(std::min(rows, chunk) * columns));
    for (std::int64_t c = begin; c < end; ++c) {
      const std::int64_t first = c * chunk, count = std::min(chunk, rows - first);
      const std::span<float> values(buffer.data(), static_cast<size_t>(count * columns));
      checkpoint.read_rows(source, static_cast<std::uint64_t>(first),
                           static_cast<std::uint64_t>(first + count), values);
      use(first, count, values);
    }
  });
}

void load_tensor(const Checkpoint& checkpoint, const CheckpointTensor& source, const at::Tensor& target) {
  const bool direct = target.device().is_cpu();
  const at::Tensor staged = direct ? target : at::empty(target.sizes(), target.options().device(at::kCPU));
  const at::Tensor rows = staged.view({staged.size(0), -1});
  for_row_chunks(checkpoint, source, [&](std::int64_t first, std::int64_t count, std::span<float> values) {
    if (target.scalar_type() == at::kHalf) {
      check_fits_float16(checkpoint.path(), source, first * rows.size(1), values);
    }
    rows.narrow(0, first, count).copy_(at::from_blob(values.data(), {count, rows.size(1)}, at::kFloat));
  });
  if (!direct) target.copy_(staged);
}

}  // namespace

std::vector<at::Tensor> Weights::tensors() const {
  std::vector<at::Tensor> all = {embedding, final_norm};
  if (!lm_head.is_same(embedding)) all.push_back(lm_head);
  for (const LayerWeights& l : layers) {
    for (const at::Tensor& t :
         {l.input_norm, l.qkv, l.qkv_bias, l.q_norm, l.k_norm, l.o_proj, l.o_proj_bias, l.attn_output_norm,
          l.mlp_norm, l.gate_up, l.gate_up_bias, l.down, l.down_bias, l.mlp_output_norm}) {
      if (t.defined()) all.push_back(t);
    }
  }
  return all;
}

std::int64_t Weights::bytes() const {
  std::int64_t sum = 0;
  for (const at::Tensor& t : tensors()) sum += static_cast<std::int64_t>(t.nbytes());
  return sum;
}

Weights load_weights(const Checkpoint& checkpoint, at::Device device, at::ScalarType dtype,
                     const ProgressCallback& on_progress) {
  const ModelConfig& config = checkpoint.config();
  check_tensors(config, checkpoint.tensors(), checkpoint.path());
  const std::vector<TensorSpec> table = tensor_table(config);
  if (device.is_cpu()) check_memory(table, dtype, read_host().memory, checkpoint.path());
  Weights weights = allocate(config, at::TensorOptions().device(device).dtype(dtype));
  const std::int64_t total = weights.bytes();
  std::int64_t done = 0;
  for (const TensorSpec& spec : table) {
    if (on_progress &&
        !on_progress({.stage = "reading weights", .done = done, .total = total, .unit = "bytes"})) {
      throw Error({.code = "run.interrupted", .file = checkpoint.path(), .where = "reading weights"});
    }
    const at::Tensor target = destination(weights, config, spec);
    load_tensor(checkpoint, *checkpoint.find(spec.name), target);
    done += static_cast<std::int64_t>(target.nbytes());
  }
  if (on_progress) on_progress({.stage = "reading weights", .done = total, .total = total, .unit = "bytes"});
  return weights;
}

}  // namespace safetylock
