// Memory that the passes of a thread use again and again: between two layers, and between two tokens.
#pragma once

#include "model/torch_includes.h"

namespace safetylock {

/// While one lives on a thread, `scratch` keeps there what it gave, and gives it again once nobody else holds
/// it or a view of it. Asking the system for tens of megabytes a layer, and having them cleared, took a
/// sixteenth of a prompt's time.
class ScratchScope {
 public:
  ScratchScope();
  ~ScratchScope();
  ScratchScope(const ScratchScope&) = delete;
  ScratchScope& operator=(const ScratchScope&) = delete;
};

/// A contiguous tensor whose values are not set. Outside of a scope, and on other devices than the CPU,
/// at::empty.
at::Tensor scratch(at::IntArrayRef sizes, const at::TensorOptions& options);

}  // namespace safetylock
