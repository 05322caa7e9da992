#include "base/json.h"

#include <cmath>
#include <unordered_set>
#include <vector>

#include "base/utf8.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

std::string line_and_column(std::string_view text, size_t byte) {
  size_t line = 1;
  size_t column = 1;
  for (size_t i = 0; i < byte && i < text.size(); ++i) {
    if (text[i] == '\n') {
      ++line;
      column = 1;
    } else {
      ++column;
    }
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// Builds the tree while it checks, so that a hostile text is refused before its tree is large. nlohmann's own
// builder would look each key up among its siblings: quadratic on a vocabulary of 150,000 keys.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::string& file, const JsonLimits& limits)
      : text_(text), file_(file), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& value) override { return add(std::move(value)); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    count();
    Level& level = open_.back();
    if (!level.keys.insert(name).second) {
      throw Error({"json.duplicate_key", file_, "object", "each key once",
                   "\"" + escape_untrusted(name) + "\" twice",
                   "Which of the two holds cannot be known; remove one"});
    }
    level.next_key = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    const std::string what = e.what();
    if (what.find("number overflow") != std::string::npos) {
      throw Error({"json.syntax", file_, line_and_column(text_, position), "a number that fits a double",
                   "a larger one", ""});
    }
    const size_t at = position == 0 ? 0 : position - 1;
    const std::string found =
        at < text_.size() ? "\"" + escape_untrusted(text_.substr(at, 20)) + "\"" : std::string("end of text");
    throw Error({"json.syntax", file_, line_and_column(text_, at), "valid JSON", found, ""});
  }

 private:
  struct Level {
    Json* value;
    std::unordered_set<std::string> keys;
    std::string next_key;
  };

  void count() {
    if (++nodes_ > limits_.max_nodes) {
      throw Error({"limit.nodes", file_, "", "at most " + std::to_string(limits_.max_nodes) + " JSON values",
                   "more", ""});
    }
  }

  // Puts `value` where the next one belongs and returns its place, which stays valid while it is the
  // innermost.
  Json* place(Json value) {
    count();
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Level& level = open_.back();
    if (level.value->is_array()) {
      auto& elements = level.value->get_ref<Json::array_t&>();
      elements.push_back(std::move(value));
      return &elements.back();
    }
    // The vector below ordered_map: its own emplace would search for the key, which is known to be new.
    auto& members = static_cast<Json::object_t::Container&>(level.value->get_ref<Json::object_t&>());
    members.emplace_back(std::move(level.next_key), std::move(value));
    return &members.back().second;
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json container) {
    if (open_.size() == limits_.max_depth) {
      throw Error({"json.depth", file_, "", "at most " + std::to_string(limits_.max_depth) + " nested levels",
                   "more", ""});
    }
    open_.push_back({place(std::move(container)), {}, {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& file_;
  JsonLimits limits_;
  size_t nodes_ = 0;
  Json root_;
  std::vector<Level> open_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& file, const JsonLimits& limits) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    throw Error({"json.bom", file, "byte 0", "JSON without a byte order mark", "EF BB BF",
                 "Save the file as plain UTF-8"});
  }
  if (const auto bad = utf8::find_invalid(text)) {
    throw Error({"json.utf8", file, "byte " + std::to_string(*bad), "valid UTF-8",
                 "\"" + escape_untrusted(text.substr(*bad, 4)) + "\"", ""});
  }
  Builder builder(text, file, limits);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string describe_json(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::boolean:
      return value.get<bool>() ? "true" : "false";
    case Json::value_t::string:
      return "string \"" + escape_untrusted(value.get_ref<const std::string&>(), 60) + "\"";
    case Json::value_t::array:
      return "array of " + std::to_string(value.size());
    case Json::value_t::object:
      return "object";
    default:
      return "number " + value.dump();
  }
}

JsonObject::JsonObject(const Json& value, std::string file, std::string pointer)
    : value_(&value), file_(std::move(file)), pointer_(std::move(pointer)) {
  if (!value.is_object()) {
    throw Error(
        {"cfg.type", file_, pointer_.empty() ? "root" : pointer_, "an object", describe_json(value), ""});
  }
}

bool JsonObject::has(const std::string& key) const {
  const auto it = value_->find(key);
  return it != value_->end() && !it->is_null();
}

const Json& JsonObject::at(const std::string& key) const {
  const auto it = value_->find(key);
  if (it == value_->end())
    throw Error({"cfg.missing", file_, pointer_to(key), "the field to be there", "no such key", ""});
  return *it;
}

std::int64_t JsonObject::integer(const std::string& key, std::int64_t lo, std::int64_t hi) const {
  const Json& v = at(key);
  if (!v.is_number_integer())
    throw Error({"cfg.type", file_, pointer_to(key), "an integer", describe_json(v), ""});
  const bool too_big =
      v.is_number_unsigned() && v.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  if (too_big || v.get<std::int64_t>() < lo || v.get<std::int64_t>() > hi) {
    throw Error({"cfg.range", file_, pointer_to(key), std::to_string(lo) + " to " + std::to_string(hi),
                 describe_json(v), ""});
  }
  return v.get<std::int64_t>();
}

std::int64_t JsonObject::integer_or(const std::string& key, std::int64_t fallback, std::int64_t lo,
                                    std::int64_t hi) const {
  return has(key) ? integer(key, lo, hi) : fallback;
}

double JsonObject::number(const std::string& key) const {
  const Json& v = at(key);
  if (!v.is_number()) throw Error({"cfg.type", file_, pointer_to(key), "a number", describe_json(v), ""});
  const double d = v.get<double>();
  if (!std::isfinite(d))
    throw Error({"cfg.range", file_, pointer_to(key), "a finite number", describe_json(v), ""});
  return d;
}

double JsonObject::number_or(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool JsonObject::boolean_or(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  const Json& v = at(key);
  if (!v.is_boolean())
    throw Error({"cfg.type", file_, pointer_to(key), "true or false", describe_json(v), ""});
  return v.get<bool>();
}

std::string JsonObject::string(const std::string& key) const {
  const Json& v = at(key);
  if (!v.is_string()) throw Error({"cfg.type", file_, pointer_to(key), "a string", describe_json(v), ""});
  return v.get<std::string>();
}

std::string JsonObject::string_or(const std::string& key, std::string fallback) const {
  return has(key) ? string(key) : fallback;
}

JsonObject JsonObject::object(const std::string& key) const {
  return {at(key), file_, pointer_to(key)};
}

}  // namespace safetylock
