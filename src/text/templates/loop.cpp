#include "text/templates/callable.h"

namespace safetylock::jinja {

std::optional<Value> Loop::pull() {
  while (source_->next < source_->items.size()) {
    Value item = source_->items[source_->next++];
    if (!keep_ || keep_(item)) return item;
  }
  return std::nullopt;
}

const std::optional<Value>& Loop::peek() {
  if (!ahead_) ahead_ = pull();
  return ahead_;
}

std::optional<Value> Loop::advance() {
  std::optional<Value> item = ahead_ ? std::move(ahead_) : pull();
  ahead_.reset();
  if (!item) return std::nullopt;
  ++index0_;
  previous_ = std::move(current_);
  current_ = item;
  return item;
}

// Python counts a generator by draining it into a list, which then takes its place.
std::int64_t Loop::length() {
  if (!length_) {
    auto rest = std::make_shared<Iterator>();
    while (auto item = pull()) rest->items.push_back(std::move(*item));
    length_ = static_cast<std::int64_t>(rest->items.size()) + index0_ + 1 + (ahead_ ? 1 : 0);
    source_ = std::move(rest);
    keep_ = nullptr;
  }
  return *length_;
}

std::optional<Value> Loop::attribute(std::string_view name) {
  if (name == "index0") return index0_;
  if (name == "index") return index0_ + 1;
  if (name == "first") return index0_ == 0;
  if (name == "last") return !peek().has_value();
  if (name == "length") return length();
  if (name == "revindex") return length() - index0_;
  if (name == "revindex0") return length() - index0_ - 1;
  if (name == "depth") return std::int64_t{1};
  if (name == "depth0") return std::int64_t{0};
  if (name == "previtem") return previous_ ? *previous_ : Undefined{"there is no previous item"};
  if (name == "nextitem") return peek() ? *ahead_ : Undefined{"there is no next item"};
  return std::nullopt;
}

void Loop::finish() {
  source_.reset();
  keep_ = nullptr;
  ahead_.reset();
  previous_.reset();
  current_.reset();
}

}  // namespace safetylock::jinja
