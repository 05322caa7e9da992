#include "model/kernels/scratch.h"

#include <ATen/ATen.h>

#include <vector>

namespace safetylock {
namespace {

thread_local int scopes = 0;
thread_local std::vector<at::Tensor> kept;

bool is_free(const at::Tensor& tensor) {
  return tensor.use_count() == 1 && tensor.storage().use_count() == 1;
}

}  // namespace

ScratchScope::ScratchScope() {
  ++scopes;
}

ScratchScope::~ScratchScope() {
  if (--scopes == 0) kept.clear();
}

at::Tensor scratch(at::IntArrayRef sizes, const at::TensorOptions& options) {
  // Tensors made in inference mode may not change outside of it, nor the other way round.
  if (scopes == 0 || !options.device().is_cpu() || !c10::InferenceMode::is_enabled())
    return at::empty(sizes, options);
  const size_t bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * options.dtype().itemsize();
  at::Tensor* best = nullptr;   // the smallest that is large enough
  at::Tensor* small = nullptr;  // one that is not, to be replaced
  for (at::Tensor& tensor : kept) {
    if (tensor.dtype() != options.dtype() || !is_free(tensor)) continue;
    const size_t room = tensor.storage().nbytes();
    if (room < bytes) {
      small = &tensor;
    } else if (best == nullptr || room < best->storage().nbytes()) {
      best = &tensor;
    }
  }
  if (best != nullptr) {
    best->unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
    return *best;
  }
  if (small != nullptr) {
    *small = at::Tensor();
    return *small = at::empty(sizes, options);
  }
  return kept.emplace_back(at::empty(sizes, options));
}

}  // namespace safetylock
