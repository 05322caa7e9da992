// The filters of text and of single values.
#include "text/templates/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "safetylock/chat_template.h"
#include "text/templates/safe_text.h"
#include "text/templates/text_functions.h"

namespace safetylock::jinja {
namespace {

// The text of a filter that keeps text marked safe so, which is left out.
MarkedText plain_text(Execution& run, const Value& input, const char* operation) {
  refuse_safe(run, input, operation);
  return to_text(run, input);
}

Value trim(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "trim", arguments, {"chars"}, 0);
  return text(stripped_text(run, plain_text(run, input, "trimming"), true, true, bound[0]));
}

Value to_string(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "string", arguments, {}, 0);
  return std::holds_alternative<SafeText>(input) ? input : text(to_text(run, input));
}

template <Case Wanted>
Value change_case(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, Wanted == Case::upper ? "upper" : "lower", arguments, {}, 0);
  return text(cased(run, plain_text(run, input, "the case"), Wanted));
}

Value capitalize(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "capitalize", arguments, {}, 0);
  return text(capitalized(run, plain_text(run, input, "the case")));
}

bool begins_word_after(char32_t point) {
  return is_space(point) || point == '-' || point == '(' || point == '{' || point == '[' || point == '<';
}

// Jinja's own: words begin after white space, hyphens and opening brackets only.
Value title(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "title", arguments, {}, 0);
  const MarkedText s = plain_text(run, input, "the case");
  const std::vector<size_t> offsets = point_offsets(s.bytes());
  MarkedText result;
  bool begin = true;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const MarkedText point = s.slice(offsets[i], offsets[i + 1]);
    const bool separator = begins_word_after(utf8::decode(point.bytes()).code_point);
    result.append(cased(run, point, begin || separator ? Case::upper : Case::lower));
    begin = separator;
  }
  return text(std::move(result));
}

Value replace(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "replace", arguments, {"old", "new", "count"}, 2);
  std::int64_t limit = -1;
  if (bound[2] && !is_none(*bound[2])) {
    const auto count = as_integer(*bound[2]);
    if (!count) run.fail_type("an integer count", describe(*bound[2]));
    limit = *count;
  }
  return text(replaced_text(run, to_text(run, input), to_text(run, *bound[0]).bytes(),
                            to_text(run, *bound[1]), limit));
}

Value indent(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "indent", arguments, {"width", "first", "blank"}, 0);
  const MarkedText* s = as_text(input);
  if (s == nullptr) run.fail_type("a string to indent", describe(input));
  MarkedText step(std::string(4, ' '), RenderedPrompt::kTemplate);
  if (bound[0]) {
    const auto width = as_integer(*bound[0]);
    if (!width && as_text(*bound[0]) == nullptr)
      run.fail_type("an integer or string width", describe(*bound[0]));
    if (width) run.check_text_size(static_cast<std::uint64_t>(std::max<std::int64_t>(*width, 0)));
    step = width ? MarkedText(std::string(static_cast<size_t>(std::max<std::int64_t>(*width, 0)), ' '),
                              RenderedPrompt::kTemplate)
                 : *as_text(*bound[0]);
  }
  const bool first = bound[1] && truthy(*bound[1]);
  const bool blank = bound[2] && truthy(*bound[2]);
  MarkedText whole = *s;
  whole.append("\n", RenderedPrompt::kTemplate);
  MarkedText result;
  bool later = false;
  for (const ByteRange& line : split_lines(whole.bytes(), false)) {
    run.check_text_size(result.size() + step.size() + line.end - line.begin + 1);
    run.charge_bytes(step.size() + line.end - line.begin);
    if (later) result.append("\n", RenderedPrompt::kTemplate);
    if (later ? blank || line.end > line.begin : first) result.append(step);
    result.append(whole, line.begin, line.end);
    later = true;
  }
  return text(std::move(result));
}

std::optional<std::string> indentation(Execution& run, const std::optional<Value>& argument) {
  if (!argument || is_none(*argument)) return std::nullopt;
  if (const MarkedText* s = as_text(*argument)) return s->bytes();
  const auto width = as_integer(*argument);
  if (!width) run.fail_type("an integer or string indent", describe(*argument));
  const auto spaces = static_cast<size_t>(std::max<std::int64_t>(*width, 0));
  run.check_text_size(spaces);
  return std::string(spaces, ' ');
}

Value tojson(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound =
      bind_arguments(run, "tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ensure_ascii = bound[0] && truthy(*bound[0]);
  style.indent = indentation(run, bound[1]);
  if (style.indent) style.item_separator = ",";
  style.sort_keys = bound[3] && truthy(*bound[3]);
  if (bound[2] && !is_none(*bound[2])) {
    const std::vector<Value> separators = elements(run, *bound[2]);
    if (separators.size() != 2 || as_text(separators[0]) == nullptr || as_text(separators[1]) == nullptr) {
      run.fail_type("two strings as separators", describe(*bound[2]));
    }
    style.item_separator = as_text(separators[0])->bytes();
    style.key_separator = as_text(separators[1])->bytes();
  }
  return text(to_json(run, input, style));
}

Value or_default(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "default", arguments, {"default_value", "boolean"}, 0);
  const bool replaces = is_undefined(input) || (bound[1] && truthy(*bound[1]) && !truthy(input));
  return replaces ? bound[0].value_or(own_text("")) : input;
}

Value absolute(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "abs", arguments, {}, 0);
  if (const auto integer = as_integer(input))
    return *integer < 0 ? negated(run, input, true) : Value(*integer);
  if (const auto* number = std::get_if<double>(&input)) return std::fabs(*number);
  run.fail_type("a number", describe(input));
}

// The digits of Python's int(text) or float(text): white space around and single underscores inside may go.
std::optional<std::string> plain_number(std::string_view digits) {
  const ByteRange kept = stripped(digits, true, true);
  std::string plain;
  for (size_t i = kept.begin; i < kept.end; ++i) {
    const auto is_digit = [&](size_t at) {
      return at >= kept.begin && at < kept.end && digits[at] >= '0' && digits[at] <= '9';
    };
    if (digits[i] != '_') {
      plain += digits[i];
    } else if (!is_digit(i - 1) || !is_digit(i + 1)) {
      return std::nullopt;
    }
  }
  if (plain.starts_with('+') && plain.size() > 1 && plain[1] != '-') plain.erase(0, 1);
  return plain;
}

template <typename Number>
std::optional<Number> parse_number(Execution& run, const MarkedText& s) {
  const auto plain = plain_number(s.bytes());
  if (!plain || plain->empty()) return std::nullopt;
  Number number{};
  const auto parsed = std::from_chars(plain->data(), plain->data() + plain->size(), number);
  if (parsed.ec == std::errc::result_out_of_range) run.fail_unsupported("a number of that size");
  if (parsed.ec != std::errc() || parsed.ptr != plain->data() + plain->size()) return std::nullopt;
  return number;
}

std::optional<std::int64_t> truncated(Execution& run, double number) {
  if (!std::isfinite(number)) return std::nullopt;
  if (std::fabs(number) >= 9.2e18) run.fail_unsupported("an integer of more than 63 bits");
  return static_cast<std::int64_t>(number);
}

Value to_integer(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "int", arguments, {"default", "base"}, 0);
  if (bound[1]) run.fail_unsupported("int with a base");
  if (is_undefined(input)) run.fail_type("a defined value", describe(input));
  if (const auto integer = as_integer(input)) return *integer;
  std::optional<double> number = as_number(input);
  if (const MarkedText* s = as_any_text(input)) {
    if (const auto integer = parse_number<std::int64_t>(run, *s)) return *integer;
    number = parse_number<double>(run, *s);
  }
  const auto integer = number ? truncated(run, *number) : std::nullopt;
  return integer ? Value(*integer) : bound[0].value_or(std::int64_t{0});
}

Value to_float(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "float", arguments, {"default"}, 0);
  if (is_undefined(input)) run.fail_type("a defined value", describe(input));
  std::optional<double> number = as_number(input);
  if (const MarkedText* s = as_any_text(input)) number = parse_number<double>(run, *s);
  return number ? Value(*number) : bound[0].value_or(0.0);
}

const std::unordered_map<std::string_view, Filter>& text_filters() {
  static const std::unordered_map<std::string_view, Filter> kFilters{
      {"abs", absolute},
      {"capitalize", capitalize},
      {"d", or_default},
      {"default", or_default},
      {"float", to_float},
      {"indent", indent},
      {"int", to_integer},
      {"lower", change_case<Case::lower>},
      {"replace", replace},
      {"safe", mark_safe},
      {"string", to_string},
      {"title", title},
      {"tojson", tojson},
      {"trim", trim},
      {"upper", change_case<Case::upper>},
  };
  return kFilters;
}

}  // namespace

Filter find_filter(std::string_view name) {
  const auto found = text_filters().find(name);
  return found != text_filters().end() ? found->second : find_sequence_filter(name);
}

}  // namespace safetylock::jinja
