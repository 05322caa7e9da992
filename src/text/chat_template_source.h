// Where a model keeps its chat templates.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace safetylock {

/// {"bos_token", "<s>"} ...: the variables of these names.
using SpecialTokens = std::vector<std::pair<std::string, std::string>>;

struct NamedTemplate {
  std::string name;  ///< "default", "tool_use" ...
  std::string source;
  std::string file;  ///< labels errors
};

struct ChatTemplateSource {
  std::vector<NamedTemplate> templates;  ///< each name once; never empty
  SpecialTokens special_tokens;
};

/// `path`: a GGUF file, a Hugging Face folder or the folder of a model in a hub cache. Of a folder, as
/// transformers does, the first that is there of
///   chat_template.jinja (the default) and additional_chat_templates/NAME.jinja
///   chat_template in tokenizer_config.json: a text, a list of {"name", "template"} or an object of them
///   chat_template.json, which processors of transformers 4 wrote
/// Throws template.missing, limit.templates, io.*, json.*, cfg.*.
ChatTemplateSource find_chat_templates(const std::string& path);

}  // namespace safetylock
