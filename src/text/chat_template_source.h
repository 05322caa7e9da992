// Where a model keeps its chat template.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace safetylock {

/// {"bos_token", "<s>"} ...: the variables of these names.
using SpecialTokens = std::vector<std::pair<std::string, std::string>>;

struct ChatTemplateSource {
  std::string source;
  std::string file;  ///< labels errors
  SpecialTokens special_tokens;
};

/// `path`: a GGUF file or a Hugging Face folder. Throws template.missing, io.*, json.*, cfg.*.
ChatTemplateSource find_chat_template(const std::string& path);

}  // namespace safetylock
