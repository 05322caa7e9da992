// The filters of lists and mappings.
#include <algorithm>

#include "safetylock/chat_template.h"
#include "text/templates/filters.h"
#include "text/templates/safe_text.h"
#include "text/templates/text_functions.h"

namespace safetylock::jinja {
namespace {

// "a.b.0" of map(attribute=...), selectattr(...) ...: a path of keys.
class AttributePath {
 public:
  AttributePath(Execution& run, const Value& attribute) {
    if (is_none(attribute)) return;
    const MarkedText* path = as_text(attribute);
    if (path == nullptr) {
      keys_.push_back(attribute);
      return;
    }
    for (const ByteRange& part : split_on(path->bytes(), ".", -1))
      keys_.push_back(key(run, path->slice(part.begin, part.end)));
  }

  Value of(Execution& run, Value value, const std::optional<Value>& otherwise = std::nullopt) const {
    for (const Value& key : keys_) {
      value = get_item(run, value, key);
      if (otherwise && is_undefined(value)) value = *otherwise;
    }
    return value;
  }

 private:
  static Value key(Execution& run, MarkedText part) {
    const std::string& bytes = part.bytes();
    const bool number = !bytes.empty() &&
                        std::all_of(bytes.begin(), bytes.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!number) return text(std::move(part));
    if (bytes.size() > 18) run.fail_unsupported("an integer of more than 63 bits");
    return std::int64_t{std::stoll(bytes)};
  }

  std::vector<Value> keys_;
};

Value length(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "length", arguments, {}, 0);
  const auto size = length_of(input);
  if (!size) run.fail_type("something that has a length", describe(input));
  if (const MarkedText* s = as_text(input)) run.charge_bytes(s->size());
  return *size;
}

using Work = std::vector<Value> (*)(Execution&, const Value&, const Arguments&);

// A filter that is a generator in Jinja: nothing happens, nor fails, before someone asks for an item.
template <Work Items>
Value generator(Execution& run, const Value& input, const Arguments& arguments) {
  int depth = depth_of(input);
  for (const Value& argument : arguments.positional) depth = std::max(depth, depth_of(argument));
  for (const auto& [name, argument] : arguments.keywords) depth = std::max(depth, depth_of(argument));
  return make_iterator(run, depth, [&run, input, arguments, line = run.line] {
    run.line = line;
    return Items(run, input, arguments);
  });
}

std::vector<Value> items(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "items", arguments, {}, 0);
  if (is_undefined(input)) return {};
  if (as_map(input) == nullptr) run.fail_type("a mapping", describe(input));
  return elements(run, std::make_shared<const View>(View{View::Kind::items, std::get<MapPtr>(input)}));
}

Value to_list(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "list", arguments, {}, 0);
  return make_list(run, elements(run, input));
}

Value join(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "join", arguments, {"d", "attribute"}, 0);
  const AttributePath path(run, bound[1].value_or(None{}));
  std::vector<MarkedText> texts;
  for (const Value& item : elements(run, input)) texts.push_back(to_text(run, path.of(run, item)));
  return text(joined(run, texts, bound[0] ? to_text(run, *bound[0]) : MarkedText()));
}

Value first(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "first", arguments, {}, 0);
  const IteratorPtr iterator = iterate(run, input);
  if (iterator->next == iterator->items.size()) return Undefined{"No first item, sequence was empty."};
  return iterator->items[iterator->next++];
}

Value last(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "last", arguments, {}, 0);
  if (std::holds_alternative<IteratorPtr>(input))
    run.fail_type("something that can be reversed", describe(input));
  const std::vector<Value> all = elements(run, input);
  return all.empty() ? Value(Undefined{"No last item, sequence was empty."}) : all.back();
}

Value reverse(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "reverse", arguments, {}, 0);
  if (as_any_text(input) != nullptr) return get_slice(run, input, None{}, None{}, std::int64_t{-1});
  const bool drained = std::holds_alternative<IteratorPtr>(input);
  std::vector<Value> all = elements(run, input);
  std::reverse(all.begin(), all.end());
  if (drained) return make_list(run, std::move(all));
  return make_iterator(run, depth_of(input), [all = std::move(all)] { return all; });
}

Arguments without_first(const Arguments& arguments, size_t count) {
  return {{arguments.positional.begin() + static_cast<std::ptrdiff_t>(count), arguments.positional.end()},
          arguments.keywords};
}

const std::string& name_argument(Execution& run, const Value& value) {
  if (as_text(value) == nullptr) run.fail_type("the name of a filter or test", describe(value));
  return as_text(value)->bytes();
}

std::vector<Value> map_attribute(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "map", arguments, {"attribute", "default"}, 1);
  const AttributePath path(run, *bound[0]);
  // A default of none is no default.
  const auto otherwise = bound[1] && !is_none(*bound[1]) ? bound[1] : std::nullopt;
  std::vector<Value> results;
  for (const Value& item : elements(run, input)) results.push_back(path.of(run, item, otherwise));
  return results;
}

std::vector<Value> map(Execution& run, const Value& input, const Arguments& arguments) {
  if (!truthy(input)) return {};
  if (arguments.positional.empty()) return map_attribute(run, input, arguments);
  const std::string& name = name_argument(run, arguments.positional[0]);
  const Filter filter = find_filter(name);
  if (filter == nullptr) run.fail_unsupported("the filter of map()");
  const Arguments rest = without_first(arguments, 1);
  std::vector<Value> results;
  for (const Value& item : elements(run, input)) results.push_back(filter(run, item, rest));
  return results;
}

template <bool Keep, bool ByAttribute>
std::vector<Value> choose(Execution& run, const Value& input, const Arguments& arguments) {
  if (!truthy(input)) return {};
  const size_t skipped = ByAttribute ? 1 : 0;
  if (arguments.positional.size() < skipped) run.fail_type("the name of an attribute", "none");
  const AttributePath path(run, ByAttribute ? arguments.positional[0] : Value(None{}));
  Test test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > skipped) {
    test = find_test(name_argument(run, arguments.positional[skipped]));
    if (test == nullptr) run.fail_unsupported("the test of select(), reject() ...");
    rest = without_first(arguments, skipped + 1);
  } else if (!arguments.keywords.empty()) {
    run.fail_unsupported("named arguments of select(), reject() ... without a test");
  }
  std::vector<Value> chosen;
  for (const Value& item : elements(run, input)) {
    const Value value = path.of(run, item);
    if ((test != nullptr ? test(run, value, rest) : truthy(value)) == Keep) chosen.push_back(item);
  }
  return chosen;
}

// What sort, unique, min, max and dictsort compare: strings without case unless asked.
Value sort_key(Execution& run, const Value& value, bool case_sensitive) {
  refuse_safe(run, value, "sorting");
  const MarkedText* s = as_text(value);
  return s == nullptr || case_sensitive ? value : text(cased(run, *s, Case::lower));
}

std::vector<Value> sorted(Execution& run, const std::vector<Value>& values, const std::vector<Value>& keys,
                          bool reverse) {
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Python keeps equal elements in order also when it sorts in reverse.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return reverse ? less(run, keys[b], keys[a]) : less(run, keys[a], keys[b]);
  });
  std::vector<Value> result;
  for (const size_t i : order) result.push_back(values[i]);
  return result;
}

Value sort(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "sort", arguments, {"reverse", "case_sensitive", "attribute"}, 0);
  const bool case_sensitive = bound[1] && truthy(*bound[1]);
  const Value attribute = bound[2].value_or(None{});
  if (as_text(attribute) != nullptr && as_text(attribute)->bytes().find(',') != std::string::npos) {
    run.fail_unsupported("sorting by several attributes");
  }
  const AttributePath path(run, attribute);
  const std::vector<Value> all = elements(run, input);
  std::vector<Value> keys;
  for (const Value& item : all) keys.push_back(sort_key(run, path.of(run, item), case_sensitive));
  return make_list(run, sorted(run, all, keys, bound[0] && truthy(*bound[0])));
}

Value dictsort(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "dictsort", arguments, {"case_sensitive", "by", "reverse"}, 0);
  if (as_map(input) == nullptr) run.fail_type("a mapping", describe(input));
  const bool case_sensitive = bound[0] && truthy(*bound[0]);
  const std::string by = bound[1] ? to_text(run, *bound[1]).bytes() : "key";
  if (by != "key" && by != "value") run.fail_type("\"key\" or \"value\" to sort by", "another");
  const View pairs{View::Kind::items, std::get<MapPtr>(input)};
  const std::vector<Value> all = elements(run, std::make_shared<const View>(pairs));
  std::vector<Value> keys;
  for (const Value& pair : all)
    keys.push_back(sort_key(run, as_list(pair)->items[by == "key" ? 0 : 1], case_sensitive));
  return make_list(run, sorted(run, all, keys, bound[2] && truthy(*bound[2])));
}

std::vector<Value> unique(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "unique", arguments, {"case_sensitive", "attribute"}, 0);
  const AttributePath path(run, bound[1].value_or(None{}));
  std::vector<Value> kept;
  Map seen;
  for (const Value& item : elements(run, input)) {
    Value key = sort_key(run, path.of(run, item), bound[0] && truthy(*bound[0]));
    if (!hashable(key)) run.fail_type("something that can be a key", describe(key));
    if (seen.find(run, key) != nullptr) continue;
    seen.set(run, std::move(key), None{});
    kept.push_back(item);
  }
  return kept;
}

template <bool Largest>
Value extreme(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound =
      bind_arguments(run, Largest ? "max" : "min", arguments, {"case_sensitive", "attribute"}, 0);
  const AttributePath path(run, bound[1].value_or(None{}));
  const std::vector<Value> all = elements(run, input);
  if (all.empty()) return Undefined{"No aggregated item, sequence was empty."};
  size_t best = 0;
  Value best_key;
  for (size_t i = 0; i < all.size(); ++i) {
    Value key = sort_key(run, path.of(run, all[i]), bound[0] && truthy(*bound[0]));
    if (i > 0 && !(Largest ? less(run, best_key, key) : less(run, key, best_key))) continue;
    best = i;
    best_key = std::move(key);
  }
  return all[best];
}

Value sum(Execution& run, const Value& input, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "sum", arguments, {"attribute", "start"}, 0);
  const AttributePath path(run, bound[0].value_or(None{}));
  Value total = bound[1].value_or(std::int64_t{0});
  if (as_text(total) != nullptr) run.fail_type("a start other than a string", "str");
  for (const Value& item : elements(run, input))
    total = calculate(run, Operator::add, total, path.of(run, item));
  return total;
}

}  // namespace

Filter find_sequence_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> kFilters{
      {"count", length},
      {"dictsort", dictsort},
      {"first", first},
      {"items", generator<items>},
      {"join", join},
      {"last", last},
      {"length", length},
      {"list", to_list},
      {"map", generator<map>},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"reject", generator<choose<false, false>>},
      {"rejectattr", generator<choose<false, true>>},
      {"reverse", reverse},
      {"select", generator<choose<true, false>>},
      {"selectattr", generator<choose<true, true>>},
      {"sort", sort},
      {"sum", sum},
      {"unique", generator<unique>},
  };
  const auto found = kFilters.find(name);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace safetylock::jinja
