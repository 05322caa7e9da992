#include "base/json.h"

#include <cmath>
#include <unordered_map>
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

// Where the key that is the `number`th of the text begins. The text is valid JSON up to that key.
size_t offset_of_key(std::string_view text, size_t number) {
  size_t keys = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '"') continue;
    const size_t begin = i++;
    while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
    const size_t next = text.find_first_not_of(" \t\r\n", i + 1);
    const bool is_key = next != std::string_view::npos && text[next] == ':';
    if (is_key && ++keys == number) return begin;
  }
  return text.size();
}

// Without help from nlohmann's destructor, which allocates for every container that is not empty. No deeper
// than JsonLimits::max_depth.
void take_apart(Json& value) noexcept {
  if (value.is_array()) {
    auto& elements = value.get_ref<Json::array_t&>();
    for (Json& element : elements) take_apart(element);
    elements.clear();
  } else if (value.is_object()) {
    auto& members = value.get_ref<Json::object_t&>();
    for (auto& member : members) take_apart(member.second);
    members.clear();
  }
}

// Builds the tree while it checks, so that a hostile text is refused before its tree is large. nlohmann's own
// builder would look each key up among its siblings: quadratic on a vocabulary of 150,000 keys.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const std::string& file, const JsonLimits& limits)
      : text_(text), file_(file), limits_(limits) {}

  JsonTree take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& value) override { return add(std::move(value)); }
  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    count();
    Level& level = open_.back();
    const auto [first, fresh] = level.keys.emplace(name, ++keys_);
    if (!fresh) {
      throw Error({"json.duplicate_key", file_, line_and_column(text_, offset_of_key(text_, keys_)),
                   "each key once",
                   "\"" + escape_untrusted(name) + "\" again, after " +
                       line_and_column(text_, offset_of_key(text_, first->second)),
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
  // A container that is not closed yet. It is made when all its parts are known: nlohmann's own objects copy
  // their members, with all below them, whenever they grow.
  struct Level {
    bool is_object;
    std::unordered_map<std::string, size_t> keys = {};  // with their numbers
    std::string next_key = {};
    std::vector<std::pair<std::string, JsonTree>> members = {};
    std::vector<JsonTree> elements = {};

    JsonTree close() {
      keys = {};  // as large as the members, which are there twice for a moment
      JsonTree tree(is_object ? Json::object() : Json::array());
      if (is_object) {
        // The vector below ordered_map: its own emplace would search for the key, which is known to be new.
        auto& all = static_cast<Json::object_t::Container&>(tree->get_ref<Json::object_t&>());
        all.reserve(members.size());
        for (auto& [key, value] : members) all.emplace_back(std::move(key), std::move(*value));
      } else {
        auto& all = tree->get_ref<Json::array_t&>();
        all.reserve(elements.size());
        for (JsonTree& element : elements) all.push_back(std::move(*element));
      }
      return tree;
    }
  };

  void count() {
    if (++nodes_ > limits_.max_nodes) {
      throw Error({"limit.nodes", file_, "", "at most " + std::to_string(limits_.max_nodes) + " JSON values",
                   "more", ""});
    }
  }

  // Puts `value` where the next one belongs.
  void put(JsonTree value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = open_.back(); level.is_object) {
      level.members.emplace_back(std::move(level.next_key), std::move(value));
    } else {
      level.elements.push_back(std::move(value));
    }
  }

  bool add(Json value) {
    count();
    put(JsonTree(std::move(value)));
    return true;
  }
  bool open(bool is_object) {
    if (open_.size() == limits_.max_depth) {
      throw Error({"json.depth", file_, "", "at most " + std::to_string(limits_.max_depth) + " nested levels",
                   "more", ""});
    }
    count();
    open_.push_back({.is_object = is_object});
    return true;
  }
  bool close() {
    JsonTree tree = open_.back().close();
    open_.pop_back();
    put(std::move(tree));
    return true;
  }

  std::string_view text_;
  const std::string& file_;
  JsonLimits limits_;
  size_t nodes_ = 0;
  size_t keys_ = 0;
  JsonTree root_{Json()};
  std::vector<Level> open_;
};

}  // namespace

JsonTree::~JsonTree() {
  take_apart(value_);
}

JsonTree& JsonTree::operator=(JsonTree&& other) noexcept {
  take_apart(value_);
  value_ = std::move(other.value_);
  return *this;
}

JsonTree parse_json(std::string_view text, const std::string& file, const JsonLimits& limits) {
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

bool is_text(const Json& value, std::string_view text) {
  return value.is_string() && value.get_ref<const std::string&>() == text;
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
