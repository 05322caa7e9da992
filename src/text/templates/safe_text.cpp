#include "text/templates/safe_text.h"

#include <string>
#include <string_view>

namespace safetylock::jinja {
namespace {

std::string_view html_escape(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '\'':
      return "&#39;";
    case '"':
      return "&#34;";
    default:
      return {};
  }
}

// Each escape has the origin of the character it stands for.
MarkedText escaped(Execution& run, const MarkedText& text) {
  run.charge(text.size());
  MarkedText out;
  size_t kept = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view escape = html_escape(text.bytes()[i]);
    if (escape.empty()) continue;
    out.append(text, kept, i);
    out.append(escape, text.origin_at(i));
    run.check_text_size(out.size());
    kept = i + 1;
  }
  out.append(text, kept, text.size());
  return out;
}

MarkedText safe_text(Execution& run, const Value& value) {
  if (const auto* safe = std::get_if<SafeText>(&value)) return *safe->text;
  if (const MarkedText* s = as_text(value)) return escaped(run, *s);
  run.fail_type("text beside text marked safe", describe(value));
}

Value safe_value(MarkedText marked) {
  return SafeText{std::make_shared<const MarkedText>(std::move(marked))};
}

}  // namespace

Value mark_safe(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "safe", arguments, {}, 0);
  return safe_value(to_text(run, input));
}

Value add_safe(Execution& run, const Value& a, const Value& b) {
  MarkedText sum = safe_text(run, a);
  const MarkedText second = safe_text(run, b);
  run.check_text_size(sum.size() + second.size());
  run.charge_bytes(sum.size() + second.size());
  sum.append(second);
  return safe_value(std::move(sum));
}

void refuse_safe(Execution& run, const Value& value, const char* operation) {
  if (std::holds_alternative<SafeText>(value))
    run.fail_unsupported(std::string(operation) + " of text marked safe");
}

}  // namespace safetylock::jinja
