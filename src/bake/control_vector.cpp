#include "bake/control_vector.h"

#include "bake/gguf_layout.h"
#include "bake/lock_bias.h"
#include "formats/families.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::uint32_t kVersion = 3, kF32 = 0;
constexpr std::uint64_t kAlignment = 32;

[[noreturn]] void refuse(const ModelTensors& model, const std::string& expected, const std::string& found) {
  throw Error({"bind.export", model.path(), "a control vector", expected, found,
               "bake writes the lock exactly; export --format json holds it exactly"});
}

}  // namespace

ControlVector make_control_vector(const ModelTensors& model, const SafetyLock& lock, Strength strength) {
  const ModelConfig& config = model.config();
  lock.check_fits(config);
  if (config.sandwich_norm)
    refuse(model, "a family without a norm behind attention",
           config.architecture + ", which would norm the lock");
  const Family* family = family_of_class(config.architecture);
  // Mistral is llama to llama.cpp, whose converter writes it so.
  const std::string hint = family == nullptr || family->gguf.empty() ? "llama" : std::string(family->gguf);
  ControlVector out{.model_hint = hint, .directions = {}};
  for (const std::int64_t layer : lock.layers()) {
    if (layer == 0) {
      out.without_layer_0 = true;
      continue;
    }
    std::vector<float>& direction = out.directions[layer];
    for (const double b : lock_bias(model, lock, layer, nullptr))
      direction.push_back(static_cast<float>(strength.alpha() * b));
  }
  if (out.directions.empty())
    refuse(model, "locked heads above layer 0, which engines skip", "heads there alone");
  return out;
}

std::string control_vector_gguf(const ControlVector& vector, const SafetyLock& lock, Strength strength,
                                const ControlVectorLabel& label) {
  gguf::Layout layout;
  layout.version = kVersion;
  layout.metadata = {
      {"general.architecture", gguf::string_value("controlvector")},
      {"general.description", gguf::string_value(label.description)},
      {"controlvector.model_hint", gguf::string_value(vector.model_hint)},
      {"controlvector.layer_count", gguf::count_value(static_cast<std::uint32_t>(vector.directions.size()))},
      {"safetylock.lock_digest", gguf::string_value(lock.content_digest())},
      {"safetylock.alpha", gguf::number_value(strength.alpha())},
      {"safetylock.largest_logit_gap", gguf::number_value(label.largest_logit_gap)},
      {"safetylock.mean_kl", gguf::number_value(label.mean_kl)},
  };
  std::string data;
  for (const auto& [layer, direction] : vector.directions) {
    data.resize((data.size() + kAlignment - 1) / kAlignment * kAlignment, '\0');
    layout.tensors.push_back({.name = "direction." + std::to_string(layer),
                              .extents = {direction.size()},
                              .type = kF32,
                              .offset = data.size()});
    data.append(reinterpret_cast<const char*>(direction.data()), direction.size() * sizeof(float));
  }
  return gguf::header_bytes(layout, kAlignment) + data;
}

}  // namespace safetylock
