#include "pipeline/phased_lock.h"

#include <ATen/ATen.h>

#include <memory>

#include "pipeline/lock_biases.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

void check_fits(const HeadDirection& head, const ModelConfig& config) {
  if (head.id.layer >= 0 && head.id.layer < config.num_hidden_layers && head.id.head >= 0 &&
      head.id.head < config.num_attention_heads &&
      static_cast<std::int64_t>(head.direction.size()) == config.head_dim)
    return;
  throw Error({.code = "bind.model",
               .where = "layer " + std::to_string(head.id.layer) + ", head " + std::to_string(head.id.head),
               .expected = std::to_string(config.num_hidden_layers) + " layers of " +
                           std::to_string(config.num_attention_heads) + " heads of " +
                           std::to_string(config.head_dim),
               .found = "a direction of " + std::to_string(head.direction.size())});
}

/// The rows of the pass that belong to `phase`: [n] int64 on the CPU.
at::Tensor rows_of_phase(const at::Tensor& requests, Phase phase) {
  const std::int64_t* request = requests.const_data_ptr<std::int64_t>();
  const std::int64_t count = requests.size(0);
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count || request[i + 1] != request[i];
    if (last == (phase == Phase::reply)) rows.push_back(i);
  }
  return at::tensor(rows, at::kLong);
}

}  // namespace

PhasedLock::PhasedLock(const CausalLM& model, const std::vector<HeadDirection>& heads, double alpha,
                       Phase phase) {
  for (const HeadDirection& head : heads) check_fits(head, model.config());
  auto lock = std::make_shared<Interventions>(
      Interventions{.biases = lock_biases(model, heads), .strengths = {Strength(alpha)}});
  if (phase == Phase::both) {
    handles_.push_back(model.set_default_interventions(std::move(lock)));
    return;
  }
  if (model.default_interventions() != nullptr) {
    throw Error({.code = "lock.state",
                 .where = "PhasedLock",
                 .expected = "a model without a lock",
                 .found = "a lock applied already"});
  }
  for (const auto& [layer, bias] : lock->biases) {
    const at::Tensor added = (bias * alpha).to(model.dtype());  // [E], rounded as the usual lock's
    handles_.push_back(model.add_hook(
        HookPoint::attn_output, {layer}, [added, phase](const HookContext& context, at::Tensor& value) {
          const at::Tensor rows = rows_of_phase(context.requests, phase);
          if (rows.size(0) == 0) return;
          value.index_add_(0, rows.to(value.device()), added.expand({rows.size(0), -1}));
        }));
  }
}

}  // namespace safetylock
