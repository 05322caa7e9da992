// Attributes, elements and slices of values.
#include <algorithm>
#include <string_view>

#include "safetylock/error.h"
#include "text/templates/builtins.h"
#include "text/templates/safe_text.h"

namespace safetylock::jinja {
namespace {

using Names = std::vector<std::string_view>;

bool has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What Python's types have and templates may call.
const Names& supported_methods(const Value& value) {
  static const Names kText{"split",    "rsplit",  "strip", "lstrip",     "rstrip",       "startswith",
                           "endswith", "replace", "upper", "lower",      "title",        "capitalize",
                           "join",     "find",    "count", "splitlines", "removeprefix", "removesuffix"};
  static const Names kMap{"get", "items", "keys", "values"};
  static const Names kLoop{"cycle"};
  static const Names kNone;
  if (as_text(value) != nullptr) return kText;
  if (as_map(value) != nullptr) return kMap;
  return std::holds_alternative<LoopPtr>(value) ? kLoop : kNone;
}

// What they have besides: to name one is an error, not "undefined".
const Names& unsupported_methods(const Value& value) {
  static const Names kText{"casefold",    "center",    "encode",       "expandtabs", "format",
                           "format_map",  "index",     "isalnum",      "isalpha",    "isascii",
                           "isdecimal",   "isdigit",   "isidentifier", "islower",    "isnumeric",
                           "isprintable", "isspace",   "istitle",      "isupper",    "ljust",
                           "maketrans",   "partition", "rfind",        "rindex",     "rjust",
                           "rpartition",  "swapcase",  "translate",    "zfill"};
  static const Names kMap{"clear", "copy", "fromkeys", "pop", "popitem", "setdefault", "update"};
  static const Names kList{"append", "clear", "copy",   "count",   "extend", "index",
                           "insert", "pop",   "remove", "reverse", "sort"};
  static const Names kNumber{"as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
                             "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
                             "numerator",        "real",      "to_bytes"};
  static const Names kRange{"count", "index", "start", "step", "stop"};
  static const Names kView{"isdisjoint", "mapping"};
  static const Names kIterator{"close",        "gi_code",      "gi_frame", "gi_running",
                               "gi_suspended", "gi_yieldfrom", "send",     "throw"};
  static const Names kCallable{"name",          "arguments", "catch_kwargs",
                               "catch_varargs", "caller",    "explicit_caller"};
  static const Names kLoop{"changed"};
  static const Names kNone;
  if (as_text(value) != nullptr) return kText;
  if (as_map(value) != nullptr) return kMap;
  if (as_list(value) != nullptr) return kList;
  if (as_number(value)) return kNumber;
  if (std::holds_alternative<Range>(value)) return kRange;
  if (std::holds_alternative<ViewPtr>(value)) return kView;
  if (std::holds_alternative<IteratorPtr>(value)) return kIterator;
  if (std::holds_alternative<CallablePtr>(value)) return kCallable;
  return std::holds_alternative<LoopPtr>(value) ? kLoop : kNone;
}

// What Python's getattr() finds.
std::optional<Value> python_attribute(Execution& run, const Value& value, const std::string& name) {
  if (name.starts_with("__")) run.fail_unsupported("the attribute \"" + escape_untrusted(name) + "\"");
  if (const auto* space = std::get_if<NamespacePtr>(&value)) {
    const Value* attribute = (*space)->attributes.find(name);
    return attribute == nullptr ? std::nullopt : std::optional<Value>(*attribute);
  }
  if (const auto* loop = std::get_if<LoopPtr>(&value)) {
    if ((*loop)->finished()) run.fail_unsupported("using the variable of a loop that is over");
    if (auto attribute = (*loop)->attribute(name)) return attribute;
  }
  if (has(supported_methods(value), name)) {
    return std::make_shared<const Callable>(Callable{Callable::Kind::method, name, value});
  }
  if (has(unsupported_methods(value), name)) {
    run.fail_unsupported("the attribute \"" + name + "\" of a " + type_name(value));
  }
  return std::nullopt;
}

std::optional<size_t> position(std::int64_t index, std::int64_t size) {
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  return static_cast<size_t>(index);
}

// What Python's value[key] finds; nothing where it raises TypeError or LookupError.
std::optional<Value> python_item(Execution& run, const Value& value, const Value& key) {
  if (const Map* map = as_map(value)) {
    if (!hashable(key)) return std::nullopt;
    const Value* found = map->find(run, key);
    return found == nullptr ? std::nullopt : std::optional<Value>(*found);
  }
  const auto index = as_integer(key);
  if (!index) return std::nullopt;
  if (const List* list = as_list(value)) {
    const auto at = position(*index, static_cast<std::int64_t>(list->items.size()));
    return at ? std::optional<Value>(list->items[*at]) : std::nullopt;
  }
  if (const MarkedText* s = as_text(value)) {
    run.charge_bytes(s->size());
    const std::vector<size_t> offsets = point_offsets(s->bytes());
    const auto at = position(*index, static_cast<std::int64_t>(offsets.size()) - 1);
    return at ? std::optional<Value>(text(s->slice(offsets[*at], offsets[*at + 1]))) : std::nullopt;
  }
  if (const auto* range = std::get_if<Range>(&value)) {
    const auto at = position(*index, range->size());
    return at ? std::optional<Value>(range->at(static_cast<std::int64_t>(*at))) : std::nullopt;
  }
  return std::nullopt;
}

Value missing(const Value& value, const Value& key) {
  std::string name = type_name(key);
  if (const MarkedText* s = as_text(key)) name = "'" + escape_untrusted(s->bytes()) + "'";
  if (const auto index = as_integer(key)) name = std::to_string(*index);
  return Undefined{"'" + type_name(value) + "' has no element " + name};
}

struct Slice {
  std::int64_t start;
  std::int64_t step;
  std::int64_t count;
};

std::optional<std::int64_t> bound(Execution& run, const Value& value) {
  if (is_none(value)) return std::nullopt;
  const auto integer = as_integer(value);
  if (!integer) run.fail_type("integers or nothing as slice bounds", describe(value));
  return integer;
}

// Python's slice.indices().
Slice resolve(Execution& run, std::int64_t size, const Value& start, const Value& stop,
              const Value& step_value) {
  // No sequence here is that long: a larger step picks the same one element.
  constexpr std::int64_t kLongest = std::int64_t{1} << 40U;
  const std::int64_t step = std::clamp(bound(run, step_value).value_or(1), -kLongest, kLongest);
  if (step == 0) run.fail_type("a slice step other than zero", "zero");
  const std::int64_t low = step < 0 ? -1 : 0;
  const std::int64_t high = step < 0 ? size - 1 : size;
  const auto clip = [&](const Value& given, std::int64_t otherwise) {
    const auto index = bound(run, given);
    if (!index) return otherwise;
    return std::clamp(*index < 0 ? *index + size : *index, low, high);
  };
  const std::int64_t from = clip(start, step < 0 ? high : low);
  const std::int64_t to = clip(stop, step < 0 ? low : high);
  return {from, step, Range{from, to, step}.size()};
}

}  // namespace

Value get_attribute(Execution& run, const Value& value, const std::string& name) {
  refuse_safe(run, value, "an attribute");
  if (is_undefined(value)) run.fail_type("a defined value before ." + name, describe(value));
  if (auto attribute = python_attribute(run, value, name)) return std::move(*attribute);
  const Value key = own_text(name);
  if (auto item = python_item(run, value, key)) return std::move(*item);
  return missing(value, key);
}

Value get_item(Execution& run, const Value& value, const Value& key) {
  refuse_safe(run, value, "an element");
  refuse_safe(run, key, "the element at the key");
  if (is_undefined(value)) run.fail_type("a defined value before [ ]", describe(value));
  if (auto item = python_item(run, value, key)) return std::move(*item);
  if (const MarkedText* name = as_text(key)) {
    if (auto attribute = python_attribute(run, value, name->bytes())) return std::move(*attribute);
  }
  return missing(value, key);
}

Value get_slice(Execution& run, const Value& value, const Value& start, const Value& stop,
                const Value& step) {
  refuse_safe(run, value, "a slice");
  if (const MarkedText* s = as_text(value)) {
    run.charge_bytes(s->size());
    const std::vector<size_t> offsets = point_offsets(s->bytes());
    const Slice slice = resolve(run, static_cast<std::int64_t>(offsets.size()) - 1, start, stop, step);
    const auto first = static_cast<size_t>(slice.start);
    if (slice.count == 0) return own_text("");
    if (slice.step == 1)
      return text(s->slice(offsets[first], offsets[first + static_cast<size_t>(slice.count)]));
    MarkedText picked;
    for (std::int64_t i = 0; i < slice.count; ++i) {
      const auto at = static_cast<size_t>(slice.start + i * slice.step);
      picked.append(*s, offsets[at], offsets[at + 1]);
    }
    return text(std::move(picked));
  }
  if (const List* list = as_list(value)) {
    const Slice slice = resolve(run, static_cast<std::int64_t>(list->items.size()), start, stop, step);
    std::vector<Value> items;
    for (std::int64_t i = 0; i < slice.count; ++i) {
      items.push_back(list->items[static_cast<size_t>(slice.start + i * slice.step)]);
    }
    return make_list(run, std::move(items), list->tuple);
  }
  if (std::holds_alternative<Range>(value)) run.fail_unsupported("a slice of a range");
  run.fail_type("a string or list before [ : ]", describe(value));
}

}  // namespace safetylock::jinja
