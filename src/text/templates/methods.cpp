// Methods of strings, mappings and loops.
#include <algorithm>

#include "base/utf8.h"
#include "safetylock/chat_template.h"
#include "text/templates/text_functions.h"

namespace safetylock::jinja {

MarkedText cased(Execution& run, const MarkedText& text, Case wanted) {
  run.charge_bytes(text.size() * 4);
  run.check_text_size(text.size() * 3);
  auto result = with_case(text, 0, text.size(), wanted);
  if (!result) run.fail_unsupported("lower case of a Greek capital sigma");
  return std::move(*result);
}

MarkedText capitalized(Execution& run, const MarkedText& text) {
  if (text.empty()) return text;
  const size_t first = utf8::decode(text.bytes()).length;
  MarkedText result = cased(run, text.slice(0, first), Case::title);
  result.append(cased(run, text.slice(first, text.size()), Case::lower));
  return result;
}

MarkedText replaced_text(Execution& run, const MarkedText& text, const std::string& old,
                         const MarkedText& replacement, std::int64_t limit) {
  const std::uint64_t matches = old.empty() ? text.size() + 1 : text.size() / old.size();
  const std::uint64_t most = limit < 0 ? matches : std::min(matches, static_cast<std::uint64_t>(limit));
  // The bound is loose; only where it is above the limit are the matches counted.
  std::uint64_t size = text.size() + most * replacement.size();
  if (size > kMaxTextBytes && !old.empty()) {
    std::uint64_t count = 0;
    for (size_t at = text.bytes().find(old); at != std::string::npos && count < most;
         at = text.bytes().find(old, at + old.size())) {
      ++count;
    }
    size = text.size() + count * replacement.size() - count * old.size();
  }
  run.check_text_size(size);
  run.charge_bytes(text.size() + size);
  return replaced(text, old, replacement, limit);
}

std::optional<std::string> strip_characters(Execution& run, const std::optional<Value>& argument) {
  if (!argument || is_none(*argument)) return std::nullopt;
  const MarkedText* characters = as_text(*argument);
  if (characters == nullptr) run.fail_type("a string or none to strip", describe(*argument));
  return characters->bytes();
}

MarkedText stripped_text(Execution& run, const MarkedText& text, bool left, bool right,
                         const std::optional<Value>& characters) {
  run.charge_bytes(text.size());
  const ByteRange kept = stripped(text.bytes(), left, right, strip_characters(run, characters));
  return text.slice(kept.begin, kept.end);
}

MarkedText joined(Execution& run, const std::vector<MarkedText>& items, const MarkedText& separator) {
  MarkedText result;
  for (size_t i = 0; i < items.size(); ++i) {
    run.check_text_size(result.size() + separator.size() + items[i].size());
    run.charge_bytes(separator.size() + items[i].size());
    if (i > 0) result.append(separator);
    result.append(items[i]);
  }
  return result;
}

namespace {

using Method = Value (*)(Execution&, const MarkedText&, const Arguments&);

const MarkedText& text_argument(Execution& run, const std::optional<Value>& argument) {
  const MarkedText* s = argument ? as_text(*argument) : nullptr;
  if (s == nullptr) run.fail_type("a string argument", argument ? describe(*argument) : "nothing");
  return *s;
}

std::int64_t integer_argument(Execution& run, const std::optional<Value>& argument, std::int64_t otherwise) {
  if (!argument) return otherwise;
  const auto integer = as_integer(*argument);
  if (!integer) run.fail_type("an integer argument", describe(*argument));
  return *integer;
}

Value pieces(Execution& run, const MarkedText& s, const std::vector<ByteRange>& ranges) {
  std::vector<Value> items;
  items.reserve(ranges.size());
  for (const ByteRange& range : ranges) items.push_back(text(s.slice(range.begin, range.end)));
  return make_list(run, std::move(items));
}

template <bool FromRight>
Value split(Execution& run, const MarkedText& s, const Arguments& arguments) {
  const auto bound = bind_arguments(run, FromRight ? "rsplit" : "split", arguments, {"sep", "maxsplit"}, 0);
  const std::int64_t limit = integer_argument(run, bound[1], -1);
  run.charge(s.size());
  if (!bound[0] || is_none(*bound[0])) {
    return pieces(run, s, FromRight ? rsplit_on_space(s.bytes(), limit) : split_on_space(s.bytes(), limit));
  }
  const std::string& separator = text_argument(run, bound[0]).bytes();
  if (separator.empty()) run.fail_type("a separator that is not empty", "an empty one");
  return pieces(run, s,
                FromRight ? rsplit_on(s.bytes(), separator, limit) : split_on(s.bytes(), separator, limit));
}

template <bool Left, bool Right>
Value strip(Execution& run, const MarkedText& s, const Arguments& arguments) {
  return text(stripped_text(run, s, Left, Right, bind_arguments(run, "strip", arguments, {"/chars"}, 0)[0]));
}

template <bool End>
Value affix_test(Execution& run, const MarkedText& s, const Arguments& arguments) {
  const auto bound =
      bind_arguments(run, End ? "endswith" : "startswith", arguments, {"/affix", "/start", "/end"}, 1);
  if (bound[1]) run.fail_unsupported("startswith or endswith within bounds");
  const auto matches = [&](const MarkedText& affix) {
    return End ? s.bytes().ends_with(affix.bytes()) : s.bytes().starts_with(affix.bytes());
  };
  const List* several = as_list(*bound[0]);
  if (several == nullptr || !several->tuple) return matches(text_argument(run, bound[0]));
  return std::any_of(several->items.begin(), several->items.end(),
                     [&](const Value& item) { return matches(text_argument(run, item)); });
}

template <bool End>
Value remove_affix(Execution& run, const MarkedText& s, const Arguments& arguments) {
  const auto bound = bind_arguments(run, End ? "removesuffix" : "removeprefix", arguments, {"/affix"}, 1);
  const std::string& affix = text_argument(run, bound[0]).bytes();
  if (End) return text(s.slice(0, s.size() - (s.bytes().ends_with(affix) ? affix.size() : 0)));
  return text(s.slice(s.bytes().starts_with(affix) ? affix.size() : 0, s.size()));
}

Value replace(Execution& run, const MarkedText& s, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "replace", arguments, {"/old", "/new", "/count"}, 2);
  return text(replaced_text(run, s, text_argument(run, bound[0]).bytes(), text_argument(run, bound[1]),
                            integer_argument(run, bound[2], -1)));
}

template <Case Wanted>
Value change_case(Execution& run, const MarkedText& s, const Arguments& arguments) {
  bind_arguments(run, "the method", arguments, {}, 0);
  return text(cased(run, s, Wanted));
}

Value capitalize(Execution& run, const MarkedText& s, const Arguments& arguments) {
  bind_arguments(run, "capitalize", arguments, {}, 0);
  return text(capitalized(run, s));
}

// Upper case at the start of every run of letters.
Value title(Execution& run, const MarkedText& s, const Arguments& arguments) {
  bind_arguments(run, "title", arguments, {}, 0);
  MarkedText result;
  bool inside = false;
  for (size_t i = 0; i < s.size(); ++i) {
    const char c = s.bytes()[i];
    if (static_cast<unsigned char>(c) >= 0x80) run.fail_unsupported("title() of text beyond ASCII");
    result.append(cased(run, s.slice(i, i + 1), inside ? Case::lower : Case::title));
    inside = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  return text(std::move(result));
}

Value join(Execution& run, const MarkedText& s, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "join", arguments, {"/iterable"}, 1);
  std::vector<MarkedText> items;
  for (const Value& item : elements(run, *bound[0])) items.push_back(text_argument(run, item));
  return text(joined(run, items, s));
}

Value find(Execution& run, const MarkedText& s, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "find", arguments, {"/sub", "/start", "/end"}, 1);
  if (bound[1]) run.fail_unsupported("find within bounds");
  run.charge_bytes(s.size());
  const size_t at = s.bytes().find(text_argument(run, bound[0]).bytes());
  if (at == std::string::npos) return std::int64_t{-1};
  return static_cast<std::int64_t>(count_points(std::string_view(s.bytes()).substr(0, at)));
}

Value count(Execution& run, const MarkedText& s, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "count", arguments, {"/sub", "/start", "/end"}, 1);
  if (bound[1]) run.fail_unsupported("count within bounds");
  run.charge_bytes(s.size());
  const std::string& what = text_argument(run, bound[0]).bytes();
  if (what.empty()) return static_cast<std::int64_t>(count_points(s.bytes())) + 1;
  return static_cast<std::int64_t>(split_on(s.bytes(), what, -1).size()) - 1;
}

Value lines(Execution& run, const MarkedText& s, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "splitlines", arguments, {"keepends"}, 0);
  run.charge(s.size());
  return pieces(run, s, split_lines(s.bytes(), bound[0] && truthy(*bound[0])));
}

Method find_text_method(const std::string& name) {
  static const std::unordered_map<std::string, Method> kMethods{
      {"split", split<false>},
      {"rsplit", split<true>},
      {"strip", strip<true, true>},
      {"lstrip", strip<true, false>},
      {"rstrip", strip<false, true>},
      {"startswith", affix_test<false>},
      {"endswith", affix_test<true>},
      {"removeprefix", remove_affix<false>},
      {"removesuffix", remove_affix<true>},
      {"replace", replace},
      {"upper", change_case<Case::upper>},
      {"lower", change_case<Case::lower>},
      {"capitalize", capitalize},
      {"title", title},
      {"join", join},
      {"find", find},
      {"count", count},
      {"splitlines", lines},
  };
  return kMethods.at(name);
}

Value call_map_method(Execution& run, const Callable& method, const Arguments& arguments) {
  const MapPtr& map = std::get<MapPtr>(method.receiver);
  if (method.name == "get") {
    const auto bound = bind_arguments(run, "get", arguments, {"/key", "/default"}, 1);
    if (!hashable(*bound[0])) run.fail_type("something that can be a key", describe(*bound[0]));
    const Value* found = map->find(run, *bound[0]);
    return found != nullptr ? *found : bound[1].value_or(None{});
  }
  bind_arguments(run, method.name, arguments, {}, 0);
  const auto kind = method.name == "items"  ? View::Kind::items
                    : method.name == "keys" ? View::Kind::keys
                                            : View::Kind::values;
  return std::make_shared<const View>(View{kind, map});
}

}  // namespace

Value call_method(Execution& run, const Callable& method, const Arguments& arguments) {
  if (const MarkedText* s = as_text(method.receiver))
    return find_text_method(method.name)(run, *s, arguments);
  if (as_map(method.receiver) != nullptr) return call_map_method(run, method, arguments);
  Loop& loop = *std::get<LoopPtr>(method.receiver);
  const auto& choices = arguments.positional;
  if (choices.empty() || !arguments.keywords.empty()) run.fail_type("items to cycle through", "none");
  return choices[static_cast<size_t>(loop.index0()) % choices.size()];
}

}  // namespace safetylock::jinja
