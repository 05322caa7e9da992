#include "safetylock/chat_template.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/json.h"
#include "base/out_of_memory.h"
#include "base/utf8.h"
#include "safetylock/error.h"
#include "text/chat_template_source.h"
#include "text/templates/interpreter.h"
#include "text/templates/parser.h"

namespace safetylock {

using jinja::Execution;
using jinja::Map;
using jinja::Value;

RenderedPrompt::Span RenderedPrompt::span_of(int message) const {
  const auto from = [&](const Span& span) { return span.message == message; };
  const auto first = std::find_if(spans.begin(), spans.end(), from);
  if (first == spans.end()) {
    throw Error({"template.span", "", "message " + std::to_string(message),
                 "text from the message in the prompt", "none",
                 "The template left the message out, or its content is empty"});
  }
  const auto last = std::find_if(spans.rbegin(), spans.rend(), from);
  return {first->begin, last->end, message};
}

namespace {

constexpr std::string_view kDefault = "default";
constexpr std::string_view kToolUse = "tool_use";

}  // namespace

struct ChatTemplate::Impl {
  std::vector<NamedTemplate> templates;
  SpecialTokens special_tokens;
  std::optional<jinja::Block> default_block;

  const NamedTemplate* find(std::string_view name) const {
    const auto it = std::find_if(templates.begin(), templates.end(),
                                 [&](const NamedTemplate& t) { return t.name == name; });
    return it == templates.end() ? nullptr : &*it;
  }
  // A mistake in the default is found at once; other templates may never be needed.
  void parse_default() {
    if (const NamedTemplate* t = find(kDefault)) default_block = jinja::parse_template(t->source, t->file);
  }
  const NamedTemplate& choose(bool tools) const;
};

namespace {

void check_utf8(const std::string& text, const std::string& where) {
  if (const auto bad = utf8::find_invalid(text)) {
    throw Error(
        {"arg.prompt", "", where, "valid UTF-8", "an invalid sequence at byte " + std::to_string(*bad), ""});
  }
}

JsonTree parse_option(const std::string& text, const std::string& name, Json::value_t type) {
  JsonTree json = parse_json(text, name);
  if (json->type() != type) {
    const char* expected = type == Json::value_t::array ? "a JSON array" : "a JSON object";
    throw Error({"json.type", name, "", expected, describe_json(json), ""});
  }
  return json;
}

[[noreturn]] void fail_reserved(const std::string& name, const std::string& key) {
  throw Error({"json.reserved_key", name, "", "keys that have no field of their own", "\"" + key + "\"", ""});
}

// transformers gives the text of a reasoning model's thoughts under every name that templates know it by.
void alias_reasoning(Execution& run, Map& message) {
  static constexpr std::array<std::string_view, 3> kNames{"reasoning_content", "thinking", "reasoning"};
  const Value* reasoning = nullptr;
  for (const std::string_view name : kNames) {
    if (reasoning == nullptr || jinja::is_none(*reasoning)) reasoning = message.find(name);
  }
  if (reasoning == nullptr || jinja::is_none(*reasoning)) return;
  const Value value = *reasoning;
  Map aliased;
  aliased.set(run, "thinking", value);
  for (const auto& [key, other] : message.entries()) aliased.set(run, key, other);
  aliased.set(run, "reasoning_content", value);
  message = std::move(aliased);
}

Value message_value(Execution& run, const ChatMessage& message, int index) {
  const std::string where = "messages[" + std::to_string(index) + "]";
  check_utf8(message.role, where + ".role");
  check_utf8(message.content, where + ".content");
  if (message.without_content && !message.content.empty()) {
    throw Error({"arg.prompt", "", where + ".content", "no text beside without_content", "some", ""});
  }
  Map map;
  map.set(run, "role", jinja::text(message.role, RenderedPrompt::kCaller));
  if (!message.without_content) map.set(run, "content", jinja::text(message.content, index));
  if (!message.extra_json.empty()) {
    const std::string name = where + ".extra_json";
    const JsonTree extra = parse_option(message.extra_json, name, Json::value_t::object);
    for (const auto& [key, value] : extra->items()) {
      const bool contradicts = !message.content.empty() || message.without_content;
      if (key == "role" || (key == "content" && contradicts)) fail_reserved(name, key);
      map.set(run, jinja::text(key, index), jinja::from_json(run, value, index));
    }
  }
  alias_reasoning(run, map);
  return std::make_shared<const Map>(std::move(map));
}

Map variables_of(Execution& run, const SpecialTokens& special_tokens,
                 const std::vector<ChatMessage>& messages, const ChatTemplateOptions& options) {
  Map variables;
  std::vector<Value> list;
  for (size_t i = 0; i < messages.size(); ++i)
    list.push_back(message_value(run, messages[i], static_cast<int>(i)));
  variables.set(run, "messages", jinja::make_list(run, std::move(list)));
  Value tools = jinja::None{};
  if (!options.tools_json.empty()) {
    const JsonTree json = parse_option(options.tools_json, "tools_json", Json::value_t::array);
    tools = jinja::from_json(run, json, RenderedPrompt::kCaller);
  }
  variables.set(run, "tools", std::move(tools));
  variables.set(run, "documents", jinja::None{});
  variables.set(run, "add_generation_prompt", options.add_generation_prompt);
  for (const auto& [name, token] : special_tokens) {
    if (!token.empty()) variables.set(run, name, jinja::own_text(token));
  }
  if (options.variables_json.empty()) return variables;
  const JsonTree extra = parse_option(options.variables_json, "variables_json", Json::value_t::object);
  for (const auto& [key, value] : extra->items()) {
    if (key == "messages" || key == "tools" || key == "add_generation_prompt")
      fail_reserved("variables_json", key);
    variables.set(run, key, jinja::from_json(run, value, RenderedPrompt::kCaller));
  }
  return variables;
}

}  // namespace

// As transformers chooses.
const NamedTemplate& ChatTemplate::Impl::choose(bool tools) const {
  const NamedTemplate* chosen = tools ? find(kToolUse) : nullptr;
  if (chosen == nullptr) chosen = find(kDefault);
  if (chosen != nullptr) return *chosen;
  std::string names;
  for (const NamedTemplate& t : templates)
    names += (names.empty() ? "\"" : ", \"") + escape_untrusted(t.name) + "\"";
  throw Error({"template.missing", templates.front().file, "", "a chat template named \"default\"",
               "only " + names, "The model's templates are for other uses than plain conversations"});
}

ChatTemplate::ChatTemplate(std::string source, std::string bos_token, std::string eos_token)
    : impl_(std::make_unique<Impl>()) {
  impl_->templates = {{std::string(kDefault), std::move(source), ""}};
  impl_->special_tokens = {{"bos_token", std::move(bos_token)}, {"eos_token", std::move(eos_token)}};
  impl_->parse_default();
}

ChatTemplate ChatTemplate::from_pretrained(const std::string& path) {
  return naming_memory_errors(path, [&] {
    ChatTemplateSource found = find_chat_templates(path);
    ChatTemplate result("", "", "");
    result.impl_->templates = std::move(found.templates);
    result.impl_->special_tokens = std::move(found.special_tokens);
    result.impl_->default_block.reset();
    result.impl_->parse_default();
    return result;
  });
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

const std::string& ChatTemplate::source() const noexcept {
  const NamedTemplate* found = impl_->find(kDefault);
  return found != nullptr ? found->source : impl_->templates.front().source;
}

RenderedPrompt ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                    const ChatTemplateOptions& options) const {
  const NamedTemplate& chosen = impl_->choose(!options.tools_json.empty());
  Execution run(chosen.file);
  const Map variables = variables_of(run, impl_->special_tokens, messages, options);
  jinja::Interpreter interpreter(run, variables,
                                 options.clock ? options.clock : std::chrono::system_clock::now);
  const bool is_default = chosen.name == kDefault;
  const std::optional<jinja::Block> other =
      is_default ? std::nullopt : std::optional(jinja::parse_template(chosen.source, chosen.file));
  const jinja::MarkedText rendered = interpreter.render(is_default ? *impl_->default_block : *other);
  RenderedPrompt prompt;
  prompt.text = rendered.bytes();
  size_t begin = 0;
  for (const auto& run_of_text : rendered.runs()) {
    prompt.spans.push_back({begin, run_of_text.end, run_of_text.origin});
    begin = run_of_text.end;
  }
  return prompt;
}

}  // namespace safetylock
