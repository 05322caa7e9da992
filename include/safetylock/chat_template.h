// Chat templates: a strict interpreter for the Jinja subset that chat models use.
//
// Thread rule: a ChatTemplate is immutable after parsing; render from any thread.
#pragma once

#include <chrono>
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
  /// Further keys as a JSON object text, e.g. {"tool_calls": [...]}; empty: none. May hold "content" (null, a
  /// list of parts) where `content` is empty, never "role".
  std::string extra_json{};
  /// The template sees no content at all, which it may tell from an empty one; `content` is empty then.
  bool without_content = false;
};

/// Rendered text with the origin of each part, so that text a user typed can be kept from becoming control
/// tokens and the span of a reply is known exactly.
struct RenderedPrompt {
  static constexpr int kTemplate = -1;
  /// Text of the caller's that is no message's: roles, tools, variables. Not to be trusted with control
  /// tokens.
  static constexpr int kCaller = -2;
  struct Span {
    size_t begin = 0;  ///< byte offset into text
    size_t end = 0;    ///< one past the last byte
    /// Index of the message the bytes came from, kTemplate for the template's own text, or kCaller. The
    /// result of tojson or of printing a list is of one piece: kTemplate only if all its strings are.
    int message = kTemplate;
  };
  std::string text;  ///< UTF-8
  /// In order; tile [0, text.size()) without gaps; adjacent spans differ in `message`.
  std::vector<Span> spans;

  /// Byte range [begin, end) from the first to the last byte that came from `message`. Throws template.span
  /// if none did. The message's role is not part of it.
  Span span_of(int message) const;
};

/// Where templates take the date from.
using ChatClock = std::function<std::chrono::system_clock::time_point()>;

struct ChatTemplateOptions {
  bool add_generation_prompt = false;
  /// JSON array of tool descriptions (OpenAI style) as text; empty: none.
  std::string tools_json = {};
  /// Extra template variables as a JSON object text, e.g. {"enable_thinking": false}; empty: none.
  std::string variables_json = {};
  /// What strftime_now reads; empty: the system's clock. Printed in the system's time zone.
  ChatClock clock = {};
};

class ChatTemplate {
 public:
  /// Reads the templates of a model: a GGUF file's metadata, or a Hugging Face folder's chat_template.jinja
  /// and additional_chat_templates, else its tokenizer_config.json, else its chat_template.json. Of several,
  /// "default" is used, and with tools "tool_use". Throws template.missing when the model has none.
  static ChatTemplate from_pretrained(const std::string& path);
  /// `source` is the template's text; `bos_token`/`eos_token` are what it may print under these names, empty:
  /// undefined.
  /// Throws Error template.syntax or template.unsupported naming the template line: an unknown construct is
  /// refused, never approximated. Parity target: Jinja2 as transformers configures it (trim_blocks,
  /// lstrip_blocks).
  ChatTemplate(std::string source, std::string bos_token, std::string eos_token);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  /// Throws template.error for raise_exception (with the template's message), template.type for operations
  /// that Jinja would refuse, template.unsupported for what shows only now, limit.template_steps /
  /// limit.template_output / limit.template_depth for runaway templates, json.* for bad option texts,
  /// arg.prompt for messages that are not UTF-8.
  RenderedPrompt render(const std::vector<ChatMessage>& messages,
                        const ChatTemplateOptions& options = {}) const;

  /// The text of the default template.
  const std::string& source() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace safetylock
