// What a CausalLM is made of; seen by the engine and the pipeline.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "formats/checkpoint.h"
#include "model/decoder.h"
#include "model/hook_registry.h"
#include "safetylock/causal_lm.h"
#include "safetylock/error.h"

namespace safetylock {

struct CausalLM::Impl {
  Impl(Decoder model, std::shared_ptr<const Checkpoint> files)
      : decoder(std::move(model)), checkpoint(std::move(files)) {}

  Decoder decoder;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::optional<Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat_template;
  std::uint64_t max_memory = 0;  ///< LoadOptions::max_memory
  bool streamed = false;         ///< the weights are read in every pass
  std::shared_ptr<HookRegistry> registry = std::make_shared<HookRegistry>();

  /// SHA-256 of the checkpoint's tensors, computed on first use; after a pass of a streamed model its layers
  /// are not read again.
  const std::string& weights_digest() const;

 private:
  mutable std::once_flag digest_once_;
  mutable std::string digest_;
};

/// Loads the weights of `checkpoint`; no tokenizer, no template. Throws as CausalLM::from_pretrained.
std::unique_ptr<CausalLM::Impl> load_decoder(std::unique_ptr<const Checkpoint> checkpoint,
                                             const LoadOptions& options);

/// Runs `f`; libtorch's failures to allocate become Error resource.memory.
template <typename F>
auto translating_torch_errors(const F& f) {
  try {
    return f();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    const bool memory = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
                        text.find("can't allocate memory") != std::string::npos;
    throw Error({.code = memory ? "resource.memory" : "run.libtorch",
                 .where = "libtorch",
                 .expected = memory ? "enough memory" : "the operation to succeed",
                 .found = escape_untrusted(text),
                 .hint = memory ? "Use a smaller batch, a smaller dtype or another device" : ""});
  } catch (const std::bad_alloc&) {
    throw Error({.code = "resource.memory", .where = "memory", .expected = "enough memory"});
  }
}

/// Throws num.nonfinite naming `where` unless all of `values` is finite. One pass; a second one only to be
/// sure.
void check_finite(const at::Tensor& values, const std::string& where);

}  // namespace safetylock
