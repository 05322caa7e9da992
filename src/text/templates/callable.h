// What a template can call, and the state of a running loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/templates/value.h"

namespace safetylock::jinja {

struct Macro;
struct Scope;

struct Callable {
  enum class Kind { global, method, macro };
  Kind kind;
  std::string name;
  Value receiver = None{};       ///< of a method
  const Macro* macro = nullptr;  ///< lives in the template
  std::weak_ptr<Scope> scope{};  ///< where the macro was defined
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;
};

/// The `loop` variable and the state of its loop. Items are pulled one at a time, so a loop's filter sees
/// what the body before it has done.
class Loop {
 public:
  /// `keep` chooses the items; empty: all.
  Loop(IteratorPtr source, std::function<bool(const Value&)> keep)
      : source_(std::move(source)), keep_(std::move(keep)) {}

  /// The next item, or nothing at the end.
  std::optional<Value> advance();
  /// loop.index0, loop.last ...; nothing for a name that loops do not have.
  std::optional<Value> attribute(std::string_view name);
  std::int64_t index0() const noexcept { return index0_; }
  /// Lets everything go: the loop is over and may no longer be asked.
  void finish();
  bool finished() const noexcept { return source_ == nullptr; }

 private:
  std::optional<Value> pull();
  const std::optional<Value>& peek();
  std::int64_t length();

  IteratorPtr source_;
  std::function<bool(const Value&)> keep_;
  std::optional<Value> ahead_;  ///< pulled and not yet given
  std::optional<std::int64_t> length_;
  std::int64_t index0_ = -1;
  std::optional<Value> previous_;
  std::optional<Value> current_;
};

}  // namespace safetylock::jinja
