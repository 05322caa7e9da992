// Reading and changing what flows through a model, layer by layer.
//
// Thread rule: hooks may be added and removed while other threads run forward passes; a pass uses the hooks
// that were set when it began. The callback runs on the thread that called the model.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace safetylock {

/// Where in a decoder layer. N rows are the tokens of all requests of the pass laid end to end, without
/// padding.
enum class HookPoint {
  head_output,   ///< input of o_proj, [N, H, D] (TransformerLens hook_z; an HF forward pre-hook on
                 ///< self_attn.o_proj)
  attn_output,   ///< output of o_proj with its bias and the lock's vector, before the residual sum and, where
                 ///< the family has one (Gemma 2 and 3), before the norm of it, [N, E]
  block_output,  ///< the layer's output, after both residual sums, [N, E]
};

struct HookContext {
  HookPoint point;
  std::int64_t layer;           ///< 0 <= layer < L
  const at::Tensor& requests;   ///< [N] int64 on the CPU: index of the row's sequence in the call
  const at::Tensor& positions;  ///< [N] int64 on the CPU: the row's position in its sequence
};

/// `value` may be read, changed in place, or replaced by a tensor of the same shape, dtype and device (else
/// Error arg.shape). An exception leaves the pass and reaches its caller; no state of the model changes.
using HookFunction = std::function<void(const HookContext& context, at::Tensor& value)>;

/// Keeps a hook set; removes it when destroyed. Move-only. May outlive the model.
class [[nodiscard]] HookHandle {
 public:
  HookHandle() noexcept = default;
  explicit HookHandle(std::shared_ptr<void> registration) noexcept : registration_(std::move(registration)) {}
  HookHandle(HookHandle&&) noexcept = default;
  HookHandle& operator=(HookHandle&&) noexcept = default;
  HookHandle(const HookHandle&) = delete;
  HookHandle& operator=(const HookHandle&) = delete;

  void remove() noexcept { registration_.reset(); }
  bool active() const noexcept { return registration_ != nullptr; }

 private:
  std::shared_ptr<void> registration_;
};

}  // namespace safetylock
