// The hooks and default interventions that are set on a model.
//
// Thread rule: all functions from any thread. A pass works on the snapshot it took when it began.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "model/torch_includes.h"
#include "safetylock/hooks.h"
#include "safetylock/interventions.h"

namespace safetylock {

struct RegisteredHook {
  HookPoint point;
  std::set<std::int64_t> layers;  ///< empty: all
  HookFunction function;
};

/// Hooks as they were when a pass began, in the order in which they were added.
class HookSnapshot {
 public:
  using List = std::vector<std::shared_ptr<const RegisteredHook>>;
  HookSnapshot() = default;
  explicit HookSnapshot(std::shared_ptr<const List> hooks) : hooks_(std::move(hooks)) {}

  /// Shows `value` to the hooks at `context`; they may change or replace it.
  /// Throws Error arg.shape when a hook replaces it by something else than its like.
  void run(const HookContext& context, at::Tensor& value) const;
  bool empty() const noexcept { return hooks_ == nullptr; }
  /// These, then `hook`.
  HookSnapshot with(RegisteredHook hook) const;
  /// Whether any hook looks at `point` of `layer`.
  bool any(HookPoint point, std::int64_t layer) const;

 private:
  std::shared_ptr<const List> hooks_;
};

/// Owned by the model through a shared pointer, known to handles through a weak one: handles may outlive the
/// model.
class HookRegistry : public std::enable_shared_from_this<HookRegistry> {
 public:
  HookHandle add(RegisteredHook hook);
  HookSnapshot snapshot() const;

  /// Throws Error lock.state when interventions are set.
  HookHandle set_interventions(std::shared_ptr<const Interventions> interventions);
  std::shared_ptr<const Interventions> interventions() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const HookSnapshot::List>
      hooks_;  // replaced as a whole, never changed; null when there are none
  std::shared_ptr<const Interventions> interventions_;
};

}  // namespace safetylock
