// A decoder-only transformer with its tokenizer and chat template.
//
// Thread rule: weights are immutable after loading; every const member may be called from any number of
// threads at once.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "safetylock/chat_template.h"
#include "safetylock/hooks.h"
#include "safetylock/interventions.h"
#include "safetylock/model_config.h"
#include "safetylock/progress.h"
#include "safetylock/tokenizer.h"

namespace safetylock {

struct LoadOptions {
  std::string device = "auto";  ///< auto (CUDA when there is one), cpu, cuda, cuda:N
  /// auto, float32, bfloat16, float16. auto: bfloat16 on CUDA and on CPUs with native bfloat16 arithmetic,
  /// else float32.
  std::string dtype = "auto";
  /// Folder of a PEFT LoRA adapter to merge into the weights; empty: none. A tokenizer or chat template in it
  /// is used in place of the model's: the adapter may have been trained with tokens that it added.
  std::string adapter = {};
  /// Bytes of memory that the process may take; 0: no bound. Weights that do not fit into it stay in their
  /// files, and every pass reads them layer by layer (docs/streaming.md): made for
  /// collect_head_activations, which needs one pass; slow for generating, which needs one a token.
  std::uint64_t max_memory = 0;
  /// Called when the model is known, before its weights are read; what it throws ends the loading.
  std::function<void(const ModelConfig&)> on_config = {};
  ProgressCallback on_progress = {};
};

enum class LogitsOf { last_token, all_tokens };

class CausalLM {
 public:
  /// Loads a GGUF file (of a split one, the first part), a Hugging Face folder (config.json, safetensors,
  /// tokenizer.json) or the folder of a model in a hub cache. Peak memory stays under 1.3 times the weights
  /// in the chosen dtype. Throws Error io.*, hub.*, gguf.*, st.*, shard.*, cfg.*, model.*, bpe.*, template.*,
  /// lora.*, arg.device, arg.dtype, limit.memory, resource.memory, num.nonfinite.
  static CausalLM from_pretrained(const std::string& path, const LoadOptions& options = {});

  ~CausalLM();
  CausalLM(CausalLM&&) noexcept;
  CausalLM& operator=(CausalLM&&) noexcept;

  const ModelConfig& config() const noexcept;
  const Tokenizer& tokenizer() const noexcept;
  /// Throws template.missing when the model came without one.
  const ChatTemplate& chat_template() const;
  bool has_chat_template() const noexcept;
  const std::string& path() const noexcept;
  at::Device device() const noexcept;
  at::ScalarType dtype() const noexcept;
  /// Bytes of all weights in the model's dtype (tied tensors once).
  std::int64_t weight_bytes() const noexcept;
  bool streamed() const noexcept;  ///< the weights are not in memory: see LoadOptions::max_memory
  /// W_o of a layer, [E, H*D], in the model's dtype on its device; an adapter is merged in.
  at::Tensor o_proj_weight(std::int64_t layer) const;

  /// Logits in float32 on the model's device: [B, V] for the last token of each of the B sequences, or [N, V]
  /// for all N tokens laid end to end. Sequences may have unequal lengths; there is no padding.
  /// `interventions` replaces the default ones that an AppliedLock set. A gate takes each sequence for a
  /// prompt, read at its last token; one that reads other tokens too, which nothing here tells of, counts as
  /// open. Throws arg.range (empty sequence, id outside V, longer than the context).
  at::Tensor logits(const std::vector<std::vector<TokenId>>& sequences, LogitsOf which,
                    const Interventions* interventions = nullptr) const;

  /// Calls `function` at `point` of each of `layers` (empty: all) in every later pass, until the handle goes.
  HookHandle add_hook(HookPoint point, std::vector<std::int64_t> layers, HookFunction function) const;

  /// What passes use when they are given nothing else; empty on a fresh model. See AppliedLock.
  std::shared_ptr<const Interventions> default_interventions() const;
  /// Throws lock.state when some are set already: two locks on one model are refused.
  HookHandle set_default_interventions(std::shared_ptr<const Interventions> interventions) const;

  struct Impl;
  const Impl& impl() const noexcept { return *impl_; }  ///< for the library's own engine
  explicit CausalLM(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace safetylock
