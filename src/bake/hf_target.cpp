#include "bake/hf_target.h"

#include <algorithm>

#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr const char* kLlama = "LlamaForCausalLM";

// A window as long as the context hides nothing.
bool window_in_effect(const ModelConfig& c) {
  const bool any =
      std::find(c.sliding_layers.begin(), c.sliding_layers.end(), true) != c.sliding_layers.end();
  return any && c.sliding_window < c.max_position_embeddings;
}

class Choice {
 public:
  Choice(const ModelConfig& config, const std::string& folder) : c_(config), folder_(folder) {}

  HfTarget as_llama(const char* tokenizer_class) const {
    if (window_in_effect(c_)) {
      refuse("a model whose layers see the whole context",
             "a sliding window of " + std::to_string(c_.sliding_window) + " tokens");
    }
    if (c_.rotary_size() != c_.head_dim) refuse("heads that are rotated whole", "partial rotary embeddings");
    if (c_.rope_scaling.type == RopeScaling::Type::longrope)
      refuse("a rotary embedding that LlamaForCausalLM has", "longrope");
    return {kLlama, "llama", true, c_.fused_projections, tokenizer_class};
  }

 private:
  [[noreturn]] void refuse(const std::string& expected, const std::string& found) const {
    throw Error({"bind.bake", escape_untrusted(folder_, 1000), "bake", expected, found,
                 c_.architecture +
                     " has no o_proj bias, and LlamaForCausalLM would compute something else. Serve the lock "
                     "through a loader (examples/python) or safetylock itself"});
  }

  const ModelConfig& c_;
  const std::string& folder_;
};

}  // namespace

HfTarget hf_target(const ModelConfig& c, const std::string& folder, const LoraAdapter* adapter) {
  // Classes as AutoTokenizer of transformers 5 has them for the source's model type: Qwen2's own, and the
  // plain one for Mistral and Phi-3 whatever their files say.
  const Choice choice(c, folder);
  if (c.architecture == "MistralForCausalLM") return choice.as_llama("PreTrainedTokenizerFast");
  if (c.architecture == "Qwen2ForCausalLM") return choice.as_llama("Qwen2Tokenizer");
  if (c.architecture == "Phi3ForCausalLM") {
    if (adapter != nullptr) {
      throw Error({"bind.bake", escape_untrusted(folder, 1000), "bake --adapter",
                   "a model whose projections are stored one by one",
                   "Phi-3's fused ones, which are split when they are baked",
                   "Merge the adapter with PEFT and bake the result"});
    }
    return choice.as_llama("PreTrainedTokenizerFast");
  }
  return {c.architecture, c.model_type, false, false, ""};
}

}  // namespace safetylock
