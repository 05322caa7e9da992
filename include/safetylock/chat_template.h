// Chat templates: a strict interpreter for the Jinja subset that chat models use.
//
// Thread rule: a ChatTemplate is immutable after parsing; render from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

struct ChatMessage {
  std::string role;     ///< "system", "user", "assistant", "tool"
  std::string content;  ///< UTF-8
};

/// Rendered text with the origin of each part, so that text a user typed can be kept from becoming control
/// tokens and the span of a reply is known exactly.
struct RenderedPrompt {
  static constexpr int kTemplate = -1;
  struct Span {
    size_t begin = 0;  ///< byte offset into text
    size_t end = 0;    ///< one past the last byte
    int message =
        kTemplate;  ///< index of the message the bytes came from, or kTemplate for the template's own text
  };
  std::string text;  ///< UTF-8
  std::vector<Span>
      spans;  ///< in order, tile [0, text.size()) without gaps; adjacent spans differ in `message`

  /// Byte range [begin, end) from the first to the last byte that came from `message`. Throws template.span
  /// if none did.
  Span span_of(int message) const;
};

struct ChatTemplateOptions {
  bool add_generation_prompt = false;
  /// JSON array of tool descriptions (OpenAI style) as text; empty: none.
  std::string tools_json = {};
  /// Extra template variables as a JSON object text, e.g. {"enable_thinking": false}; empty: none.
  std::string variables_json = {};
};

class ChatTemplate {
 public:
  /// Reads the template of a model: a GGUF file's metadata, or a Hugging Face folder's chat_template.jinja or
  /// tokenizer_config.json. Throws template.missing when the model has none.
  static ChatTemplate from_pretrained(const std::string& path);
  /// `source` is the template's text; `bos_token`/`eos_token` are what it may print under these names.
  /// Throws Error template.syntax or template.unsupported naming the template line: an unknown construct is
  /// refused, never approximated. Parity target: Jinja2 as transformers configures it (trim_blocks,
  /// lstrip_blocks).
  ChatTemplate(std::string source, std::string bos_token, std::string eos_token);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// Throws template.error for raise_exception (with the template's message), template.type for operations
  /// that Jinja would refuse, limit.template_steps / limit.template_output for runaway templates, json.* for
  /// bad option texts.
  RenderedPrompt render(const std::vector<ChatMessage>& messages,
                        const ChatTemplateOptions& options = {}) const;

  const std::string& source() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace safetylock
