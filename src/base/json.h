// Strict JSON on top of nlohmann_json: what the library lets pass silently is refused here while scanning
// (depth, node count, duplicate keys, BOM, trailing bytes), and numbers are read through checked getters.
// Internal: nlohmann types never appear in a public header.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace safetylock {

/// Keeps the order of keys as written, as Python's json does.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_depth = 64;
  size_t max_nodes = 20'000'000;  ///< values and keys together
};

/// A parsed text. Taken apart from its leaves up when it goes: nlohmann's destructor asks for memory, and
/// where there is none left it would end the process.
class JsonTree {
 public:
  explicit JsonTree(Json value) noexcept : value_(std::move(value)) {}
  ~JsonTree();
  JsonTree(JsonTree&& other) noexcept : value_(std::move(other.value_)) {}
  JsonTree& operator=(JsonTree&& other) noexcept;

  const Json& operator*() const noexcept { return value_; }
  Json& operator*() noexcept { return value_; }
  const Json* operator->() const noexcept { return &value_; }
  Json* operator->() noexcept { return &value_; }
  operator const Json&() const& noexcept { return value_; }
  operator Json() && noexcept { return std::move(value_); }

 private:
  Json value_;
};

/// Parses the whole of `text`. `file` only labels errors.
/// Throws json.bom, json.syntax (line, column), json.depth, limit.nodes, json.duplicate_key (both places),
/// json.utf8.
JsonTree parse_json(std::string_view text, const std::string& file, const JsonLimits& limits = {});

/// Checked access to one JSON object; every failure names file and JSON pointer.
class JsonObject {
 public:
  /// Throws cfg.type when `value` is not an object. `value` must outlive this. `pointer` is "" for the root.
  JsonObject(const Json& value, std::string file, std::string pointer = "");

  bool has(const std::string& key) const;        ///< present and not null
  const Json& at(const std::string& key) const;  ///< throws cfg.missing

  std::int64_t integer(const std::string& key, std::int64_t lo, std::int64_t hi) const;
  std::int64_t integer_or(const std::string& key, std::int64_t fallback, std::int64_t lo,
                          std::int64_t hi) const;
  double number(const std::string& key) const;  ///< finite
  double number_or(const std::string& key, double fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;
  std::string string(const std::string& key) const;
  std::string string_or(const std::string& key, std::string fallback) const;
  JsonObject object(const std::string& key) const;

  const Json& value() const noexcept { return *value_; }
  const std::string& file() const noexcept { return file_; }
  std::string pointer_to(const std::string& key) const { return pointer_ + "/" + key; }

 private:
  const Json* value_;
  std::string file_;
  std::string pointer_;
};

/// Whether `value` is this string. nlohmann's own == makes a value of the text in a noexcept function, where
/// a failed allocation ends the process.
bool is_text(const Json& value, std::string_view text);

/// "string", "number 3.9", "array of 4" ...: how a value is named in an error.
std::string describe_json(const Json& value);

}  // namespace safetylock
