#include "text/templates/value.h"

#include <algorithm>
#include <cmath>

#include "safetylock/chat_template.h"
#include "text/templates/callable.h"

namespace safetylock::jinja {

std::int64_t Range::size() const {
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

const Value* Map::find(std::string_view key) const {
  const auto found = texts_.find(std::string(key));
  return found == texts_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Map::find(Execution& run, const Value& key) const {
  if (const MarkedText* name = as_text(key)) return find(name->bytes());
  run.charge(entries_.size());
  for (const Entry& entry : entries_) {
    if (equals(run, entry.first, key)) return &entry.second;
  }
  return nullptr;
}

void Map::set(Execution& run, Value key, Value value) {
  const int depth = 1 + std::max(depth_of(key), depth_of(value));
  if (depth > kMaxValueDepth) run.fail_depth("lists and mappings", kMaxValueDepth);
  depth_ = std::max(depth_, depth);
  run.charge(1);
  if (const Value* present = find(run, key)) {
    // The element is this map's own.
    *const_cast<Value*>(present) = std::move(value);
    return;
  }
  if (const MarkedText* name = as_text(key)) texts_.emplace(name->bytes(), entries_.size());
  entries_.emplace_back(std::move(key), std::move(value));
}

void Map::set(Execution& run, std::string_view key, Value value) {
  set(run, own_text(std::string(key)), std::move(value));
}

void Map::clear() {
  entries_.clear();
  texts_.clear();
}

Value View::at(size_t index) const {
  const Map::Entry& entry = map->entries()[index];
  if (kind == Kind::keys) return entry.first;
  if (kind == Kind::values) return entry.second;
  auto pair = std::make_shared<List>();
  pair->items = {entry.first, entry.second};
  pair->tuple = true;
  pair->depth = 1 + std::max(depth_of(entry.first), depth_of(entry.second));
  return ListPtr(std::move(pair));
}

Value own_text(std::string bytes) {
  return text(std::move(bytes), RenderedPrompt::kTemplate);
}

Value make_list(Execution& run, std::vector<Value> items, bool tuple) {
  run.charge(items.size());
  auto list = std::make_shared<List>();
  for (const Value& item : items) list->depth = std::max(list->depth, 1 + depth_of(item));
  if (list->depth > kMaxValueDepth) run.fail_depth("lists and mappings", kMaxValueDepth);
  list->items = std::move(items);
  list->tuple = tuple;
  return ListPtr(std::move(list));
}

Value make_iterator(Execution& run, int depth, std::function<std::vector<Value>()> work) {
  if (depth >= kMaxValueDepth) run.fail_depth("generators", kMaxValueDepth);
  auto iterator = std::make_shared<Iterator>();
  iterator->depth = depth + 1;
  iterator->work = std::move(work);
  return iterator;
}

Value from_json(Execution& run, const Json& json, int origin) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
      return json.get<std::int64_t>();
    case Json::value_t::number_unsigned:
      if (json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
        run.fail_type("integers of at most 63 bits", std::to_string(json.get<std::uint64_t>()));
      }
      return json.get<std::int64_t>();
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return text(json.get_ref<const std::string&>(), origin);
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json(run, item, origin));
      return make_list(run, std::move(items));
    }
    case Json::value_t::object: {
      auto map = std::make_shared<Map>();
      for (const auto& [key, item] : json.items())
        map->set(run, text(key, origin), from_json(run, item, origin));
      return MapPtr(std::move(map));
    }
    default:
      return None{};
  }
}

std::optional<std::int64_t> as_integer(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? 1 : 0;
  if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
  return std::nullopt;
}

std::optional<double> as_number(const Value& value) {
  if (const auto integer = as_integer(value)) return static_cast<double>(*integer);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  return std::nullopt;
}

int depth_of(const Value& value) {
  if (const List* list = as_list(value)) return list->depth;
  if (const Map* map = as_map(value)) return map->depth();
  if (const auto* view = std::get_if<ViewPtr>(&value)) return 1 + (*view)->map->depth();
  if (const auto* iterator = std::get_if<IteratorPtr>(&value)) return (*iterator)->depth;
  if (const auto* callable = std::get_if<CallablePtr>(&value)) return 1 + depth_of((*callable)->receiver);
  return 0;
}

bool truthy(const Value& value) {
  if (is_undefined(value) || is_none(value)) return false;
  if (const auto* number = std::get_if<double>(&value)) return *number != 0;
  if (const auto integer = as_integer(value)) return *integer != 0;
  if (const MarkedText* s = as_any_text(value)) return !s->empty();
  if (const auto length = length_of(value)) return *length != 0;
  return true;
}

std::string type_name(const Value& value) {
  struct Namer {
    std::string operator()(const Undefined&) const { return "Undefined"; }
    std::string operator()(None) const { return "NoneType"; }
    std::string operator()(bool) const { return "bool"; }
    std::string operator()(std::int64_t) const { return "int"; }
    std::string operator()(double) const { return "float"; }
    std::string operator()(const TextPtr&) const { return "str"; }
    std::string operator()(const ListPtr& list) const { return list->tuple ? "tuple" : "list"; }
    std::string operator()(const MapPtr&) const { return "dict"; }
    std::string operator()(const Range&) const { return "range"; }
    std::string operator()(const ViewPtr& view) const {
      if (view->kind == View::Kind::items) return "dict_items";
      return view->kind == View::Kind::keys ? "dict_keys" : "dict_values";
    }
    std::string operator()(const IteratorPtr&) const { return "generator"; }
    std::string operator()(const NamespacePtr&) const { return "namespace"; }
    std::string operator()(const CallablePtr&) const { return "function"; }
    std::string operator()(const LoopPtr&) const { return "loop"; }
    std::string operator()(const SafeText&) const { return "Markup"; }
  };
  return std::visit(Namer{}, value);
}

std::string describe(const Value& value) {
  if (const auto* undefined = std::get_if<Undefined>(&value)) return undefined->why;
  return type_name(value);
}

namespace {

bool equal_lists(Execution& run, const List& a, const List& b) {
  if (a.tuple != b.tuple || a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!equals(run, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_maps(Execution& run, const Map& a, const Map& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(run, key);
    if (other == nullptr || !equals(run, value, *other)) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  const std::int64_t n = a.size();
  if (n != b.size()) return false;
  return n == 0 || (a.start == b.start && (n == 1 || a.step == b.step));
}

template <typename Pointer>
bool same_pointer(const Value& a, const Value& b) {
  const auto* p = std::get_if<Pointer>(&a);
  return p != nullptr && *p == std::get<Pointer>(b);
}

// `a` and `b` are of one type, which Python compares by identity.
bool same_object(const Value& a, const Value& b) {
  return same_pointer<IteratorPtr>(a, b) || same_pointer<NamespacePtr>(a, b) || same_pointer<LoopPtr>(a, b);
}

}  // namespace

bool equals(Execution& run, const Value& a, const Value& b) {
  run.charge(1);
  if (const auto i = as_integer(a), j = as_integer(b); i && j) return *i == *j;
  if (const auto x = as_number(a), y = as_number(b); x && y) {
    // One may be an int that no double holds: compare with 64 bits of mantissa, as Python compares exactly.
    const auto exact = [](const Value& v, double d) {
      const auto i = as_integer(v);
      return i ? static_cast<long double>(*i) : static_cast<long double>(d);
    };
    return exact(a, *x) == exact(b, *y);
  }
  if (const MarkedText* s = as_any_text(a), *t = as_any_text(b); s != nullptr && t != nullptr) {
    run.charge_bytes(s->size());
    return s->bytes() == t->bytes();
  }
  if (a.index() != b.index()) return false;
  if (is_undefined(a) || is_none(a)) return true;
  if (const List* list = as_list(a)) return equal_lists(run, *list, *as_list(b));
  if (const Map* map = as_map(a)) return equal_maps(run, *map, *as_map(b));
  if (const auto* range = std::get_if<Range>(&a)) return equal_ranges(*range, std::get<Range>(b));
  if (std::holds_alternative<ViewPtr>(a) || std::holds_alternative<CallablePtr>(a)) {
    run.fail_unsupported("comparing a " + type_name(a) + " and a " + type_name(b));
  }
  return same_object(a, b);
}

bool hashable(const Value& value) {
  if (const List* list = as_list(value)) {
    return list->tuple && std::all_of(list->items.begin(), list->items.end(), hashable);
  }
  return as_map(value) == nullptr && !std::holds_alternative<ViewPtr>(value) &&
         !std::holds_alternative<SafeText>(value);
}

std::optional<std::int64_t> length_of(const Value& value) {
  if (is_undefined(value)) return 0;
  if (const MarkedText* s = as_any_text(value)) return static_cast<std::int64_t>(count_points(s->bytes()));
  if (const List* list = as_list(value)) return static_cast<std::int64_t>(list->items.size());
  if (const Map* map = as_map(value)) return static_cast<std::int64_t>(map->size());
  if (const auto* view = std::get_if<ViewPtr>(&value)) return static_cast<std::int64_t>((*view)->map->size());
  if (const auto* range = std::get_if<Range>(&value)) return range->size();
  return std::nullopt;
}

bool iterable(const Value& value) {
  return length_of(value).has_value() || std::holds_alternative<IteratorPtr>(value);
}

std::vector<Value> elements(Execution& run, const Value& value) {
  std::vector<Value> items;
  if (is_undefined(value)) return items;
  if (const MarkedText* s = as_any_text(value)) {
    run.charge(s->size());
    const std::vector<size_t> offsets = point_offsets(s->bytes());
    for (size_t i = 0; i + 1 < offsets.size(); ++i)
      items.push_back(text(s->slice(offsets[i], offsets[i + 1])));
    return items;
  }
  if (const auto* iterator = std::get_if<IteratorPtr>(&value)) {
    Iterator& source = **iterator;
    source.start();
    items.assign(source.items.begin() + static_cast<std::ptrdiff_t>(source.next), source.items.end());
    source.next = source.items.size();
    run.charge(items.size());
    return items;
  }
  const auto length = length_of(value);
  if (!length) run.fail_type("something that can be iterated", describe(value));
  run.charge(static_cast<std::uint64_t>(*length));
  if (const List* list = as_list(value)) return list->items;
  items.reserve(static_cast<size_t>(*length));
  for (std::int64_t i = 0; i < *length; ++i) {
    if (const Map* map = as_map(value)) {
      items.push_back(map->entries()[static_cast<size_t>(i)].first);
    } else if (const auto* view = std::get_if<ViewPtr>(&value)) {
      items.push_back((*view)->at(static_cast<size_t>(i)));
    } else {
      items.emplace_back(std::get<Range>(value).at(i));
    }
  }
  return items;
}

IteratorPtr iterate(Execution& run, const Value& value) {
  if (const auto* iterator = std::get_if<IteratorPtr>(&value)) {
    (*iterator)->start();
    return *iterator;
  }
  auto fresh = std::make_shared<Iterator>();
  fresh->items = elements(run, value);
  return fresh;
}

}  // namespace safetylock::jinja
