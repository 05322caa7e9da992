#include "model/hook_registry.h"

#include <algorithm>

#include "safetylock/error.h"

namespace safetylock {
namespace {

/// Runs `undo` when the last owner goes, if the registry still lives.
template <typename Undo>
HookHandle handle_for(std::weak_ptr<HookRegistry> registry, Undo undo) {
  static int anchor = 0;  // a non-null address: the handle owns an action, not an object
  return HookHandle(std::shared_ptr<void>(&anchor, [registry = std::move(registry), undo](void*) {
    if (const auto alive = registry.lock()) undo(*alive);
  }));
}

}  // namespace

void HookSnapshot::run(const HookContext& context, at::Tensor& value) const {
  if (hooks_ == nullptr) return;
  const std::vector<std::int64_t> sizes = value.sizes().vec();
  const at::TensorOptions options = value.options();
  for (const auto& hook : *hooks_) {
    if (hook->point != context.point) continue;
    if (!hook->layers.empty() && !hook->layers.contains(context.layer)) continue;
    hook->function(context, value);
    if (!value.defined() || value.sizes() != at::IntArrayRef(sizes) || value.dtype() != options.dtype() ||
        value.device() != options.device()) {
      throw Error({.code = "arg.shape",
                   .where = "hook at layer " + std::to_string(context.layer),
                   .expected = "a value of the shape, dtype and device it was given",
                   .found = value.defined()
                                ? value.toString() + " of " + std::to_string(value.numel()) + " values"
                                : "an undefined tensor"});
    }
  }
}

bool HookSnapshot::any(HookPoint point, std::int64_t layer) const {
  return hooks_ != nullptr && std::any_of(hooks_->begin(), hooks_->end(), [&](const auto& hook) {
           return hook->point == point && (hook->layers.empty() || hook->layers.contains(layer));
         });
}

HookSnapshot HookSnapshot::with(RegisteredHook hook) const {
  List list = hooks_ ? *hooks_ : List();
  list.push_back(std::make_shared<const RegisteredHook>(std::move(hook)));
  return HookSnapshot(std::make_shared<const List>(std::move(list)));
}

HookHandle HookRegistry::add(RegisteredHook hook) {
  const auto added = std::make_shared<const RegisteredHook>(std::move(hook));
  {
    const std::lock_guard guard(mutex_);
    auto list = hooks_ ? *hooks_ : HookSnapshot::List();
    list.push_back(added);
    hooks_ = std::make_shared<const HookSnapshot::List>(std::move(list));
  }
  return handle_for(weak_from_this(), [added](HookRegistry& registry) {
    const std::lock_guard guard(registry.mutex_);
    auto list = *registry.hooks_;
    std::erase(list, added);
    registry.hooks_ = list.empty() ? nullptr : std::make_shared<const HookSnapshot::List>(std::move(list));
  });
}

HookSnapshot HookRegistry::snapshot() const {
  const std::lock_guard guard(mutex_);
  return HookSnapshot(hooks_);
}

HookHandle HookRegistry::set_interventions(std::shared_ptr<const Interventions> interventions) {
  const std::lock_guard guard(mutex_);
  if (interventions_ != nullptr) {
    throw Error({.code = "lock.state",
                 .where = "model",
                 .expected = "no lock in force",
                 .found = "one that was applied before",
                 .hint = "Remove it first: two locks on one model are refused"});
  }
  interventions_ = std::move(interventions);
  return handle_for(weak_from_this(), [](HookRegistry& registry) {
    const std::lock_guard lock(registry.mutex_);
    registry.interventions_ = nullptr;
  });
}

std::shared_ptr<const Interventions> HookRegistry::interventions() const {
  const std::lock_guard guard(mutex_);
  return interventions_;
}

}  // namespace safetylock
