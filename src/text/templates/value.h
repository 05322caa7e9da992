// Values of the template language: what Python objects a chat template can see, and nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/templates/execution.h"
#include "text/templates/marked_text.h"

namespace safetylock::jinja {

struct List;
class Map;
struct View;
struct Iterator;
struct Namespace;
struct Callable;
class Loop;

struct Undefined {
  std::string why;  ///< "'x' is undefined"
};
struct None {};
struct Range {
  std::int64_t start;
  std::int64_t stop;
  std::int64_t step;  ///< not 0
  std::int64_t size() const;
  std::int64_t at(std::int64_t index) const { return start + index * step; }
};

using TextPtr = std::shared_ptr<const MarkedText>;
using ListPtr = std::shared_ptr<const List>;
using MapPtr = std::shared_ptr<const Map>;
using ViewPtr = std::shared_ptr<const View>;
using IteratorPtr = std::shared_ptr<Iterator>;
using NamespacePtr = std::shared_ptr<Namespace>;
using CallablePtr = std::shared_ptr<const Callable>;
using LoopPtr = std::shared_ptr<Loop>;

/// Text that went through the filter `safe` (template_safe_text.h). Not what as_text() finds: what does not
/// know it refuses it.
struct SafeText {
  TextPtr text;
};

using Value = std::variant<Undefined, None, bool, std::int64_t, double, TextPtr, ListPtr, MapPtr, Range,
                           ViewPtr, IteratorPtr, NamespacePtr, CallablePtr, LoopPtr, SafeText>;

/// A list or tuple; templates cannot change one.
struct List {
  std::vector<Value> items;
  bool tuple = false;
  int depth = 1;  ///< 1 + the deepest element's
};

/// A dict: insertion order, Python's notion of equal keys (1 == 1.0 == True).
class Map {
 public:
  using Entry = std::pair<Value, Value>;
  const std::vector<Entry>& entries() const noexcept { return entries_; }
  size_t size() const noexcept { return entries_.size(); }
  int depth() const noexcept { return depth_; }

  const Value* find(std::string_view key) const;
  /// `key` must be hashable.
  const Value* find(Execution& run, const Value& key) const;
  /// Replaces the value of an equal key, which keeps its place, or appends.
  void set(Execution& run, Value key, Value value);
  void set(Execution& run, std::string_view key, Value value);
  /// Drops everything: breaks the cycles that namespaces can form.
  void clear();

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> texts_;  ///< index of the text keys
  int depth_ = 1;
};

/// dict.items(), .keys(), .values().
struct View {
  enum class Kind { items, keys, values };
  Kind kind;
  MapPtr map;
  Value at(size_t index) const;
};

/// A generator: works when first asked, and gives each item once.
struct Iterator {
  std::function<std::vector<Value>()> work;  ///< makes the items; empty once done
  std::vector<Value> items;
  size_t next = 0;
  int depth = 1;

  void start() {
    if (work) items = std::exchange(work, nullptr)();
  }
};

/// namespace(): the one thing a template can change.
struct Namespace {
  Map attributes;
};

// Making values
inline Value text(std::string bytes, int origin) {
  return std::make_shared<const MarkedText>(std::move(bytes), origin);
}
inline Value text(MarkedText marked) {
  return std::make_shared<const MarkedText>(std::move(marked));
}
/// Text of the template's own.
Value own_text(std::string bytes);
Value make_list(Execution& run, std::vector<Value> items, bool tuple = false);
/// `work` may hold values of at most `depth` levels.
Value make_iterator(Execution& run, int depth, std::function<std::vector<Value>()> work);
/// Every string inside, keys too, gets `origin`. Throws template.type for a number beyond 64 bits.
Value from_json(Execution& run, const Json& json, int origin);

// Looking at values
inline const MarkedText* as_text(const Value& value) {
  const auto* p = std::get_if<TextPtr>(&value);
  return p == nullptr ? nullptr : p->get();
}
/// Text, marked safe or not.
inline const MarkedText* as_any_text(const Value& value) {
  const auto* safe = std::get_if<SafeText>(&value);
  return safe != nullptr ? safe->text.get() : as_text(value);
}
inline const List* as_list(const Value& value) {
  const auto* p = std::get_if<ListPtr>(&value);
  return p == nullptr ? nullptr : p->get();
}
inline const Map* as_map(const Value& value) {
  const auto* p = std::get_if<MapPtr>(&value);
  return p == nullptr ? nullptr : p->get();
}
inline bool is_undefined(const Value& value) {
  return std::holds_alternative<Undefined>(value);
}
inline bool is_none(const Value& value) {
  return std::holds_alternative<None>(value);
}
/// An int as Python sees it: bool counts.
std::optional<std::int64_t> as_integer(const Value& value);
/// int, bool or float.
std::optional<double> as_number(const Value& value);
int depth_of(const Value& value);

bool truthy(const Value& value);
/// "str", "int", "list", "NoneType" ...; what an error says was found ("undefined: 'x' is undefined").
std::string type_name(const Value& value);
std::string describe(const Value& value);
/// Python's ==.
bool equals(Execution& run, const Value& a, const Value& b);
/// Whether `value` can be a dict key.
bool hashable(const Value& value);
/// Python's len(); nothing for what has none.
std::optional<std::int64_t> length_of(const Value& value);
/// Whether iter() works on it.
bool iterable(const Value& value);
/// Elements as Python's iter() gives them; a generator is used up. Throws template.type.
std::vector<Value> elements(Execution& run, const Value& value);
/// As `elements`, without using a generator up: shares its position.
IteratorPtr iterate(Execution& run, const Value& value);

// Printing
/// Python's str().
MarkedText to_text(Execution& run, const Value& value);
/// Python's float.__repr__.
std::string float_repr(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  ///< one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
/// Python's json.dumps(); the whole gets the combined origin of the strings inside.
MarkedText to_json(Execution& run, const Value& value, const JsonStyle& style);

}  // namespace safetylock::jinja
