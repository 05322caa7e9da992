#include "bake/engine_table.h"

namespace safetylock {
namespace {

using Support = EngineSupport;

struct Row {
  std::string_view architecture;
  EngineVerdict transformers, vllm, sglang, llama_cpp;
};

constexpr const char* kNoGgufBias =
    "llama.cpp loads attn_output.bias for arch llama alone and refuses the file of this one";

// From the engines' sources: transformers 5.23, which tests/bake runs for every class here, vLLM 0.32, SGLang
// and llama.cpp. docs/serving.md says with which models the others were run.
std::vector<Row> rows() {
  const EngineVerdict follows = {"transformers", Support::exact, "o_proj follows attention_bias"};
  const EngineVerdict unread_sglang = {"SGLang", Support::not_checked,
                                       "its code for this class was not read"};
  const EngineVerdict no_gguf = {"llama.cpp", Support::refused, kNoGgufBias};
  return {
      {"LlamaForCausalLM",
       follows,
       {"vLLM", Support::exact, "llama.py gives o_proj a bias with attention_bias"},
       {"SGLang", Support::exact, "by its source: llama.py follows attention_bias; not run"},
       {"llama.cpp", Support::exact,
        "arch llama adds attn_output.bias: bake the GGUF file (a conversion of this folder was not run)"}},
      {"Qwen3ForCausalLM",
       follows,
       {"vLLM", Support::needs_loader, "qwen3.py has no o_proj bias and drops it without a word"},
       {"SGLang", Support::exact, "by its source: qwen3.py follows attention_bias; not run"},
       no_gguf},
      {"GemmaForCausalLM",
       follows,
       {"vLLM", Support::needs_loader, "gemma.py has no o_proj bias and drops it without a word"},
       unread_sglang,
       no_gguf},
      {"Gemma2ForCausalLM",
       follows,
       {"vLLM", Support::exact, "gemma2.py follows attention_bias"},
       {"SGLang", Support::exact, "by its source: gemma2.py follows attention_bias; not run"},
       no_gguf},
      {"Gemma3ForCausalLM",
       follows,
       {"vLLM", Support::exact, "gemma3.py follows attention_bias"},
       unread_sglang,
       no_gguf},
      {"SmolLM3ForCausalLM",
       follows,
       {"vLLM", Support::not_checked, "its code for this class was not read"},
       unread_sglang,
       no_gguf},
  };
}

}  // namespace

std::vector<EngineVerdict> engines_for_class(std::string_view architecture) {
  for (const Row& row : rows()) {
    if (row.architecture == architecture) return {row.transformers, row.vllm, row.sglang, row.llama_cpp};
  }
  return {};
}

std::vector<EngineVerdict> engines_for_gguf() {
  const std::string folder = "bake the Hugging Face folder for it";
  return {{"transformers", Support::refused, folder},
          {"vLLM", Support::refused, folder},
          {"SGLang", Support::refused, folder},
          {"llama.cpp", Support::exact, "arch llama adds attn_output.bias"}};
}

std::string to_string(EngineSupport support) {
  switch (support) {
    case EngineSupport::exact:
      return "exact";
    case EngineSupport::needs_loader:
      return "needs the loader";
    case EngineSupport::refused:
      return "refused";
    case EngineSupport::not_checked:
      return "not checked";
  }
  return "";
}

}  // namespace safetylock
