#include "formats/gguf.h"

#include <cmath>

#include "formats/gguf_parser.h"
#include "formats/gguf_split.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

std::string where_of(const std::string& key) {
  return "metadata \"" + escape_untrusted(key) + "\"";
}

// The value as T, or cfg.type.
template <typename T>
const T& get(const GgufFile& file, const std::string& key, const char* expected) {
  const GgufValue& value = file.at(key);
  if (const T* typed = std::get_if<T>(&value)) return *typed;
  throw Error({"cfg.type", file.path(), where_of(key), expected, gguf::describe(value), ""});
}

}  // namespace

GgufFile::GgufFile(const std::string& path) {
  files_.emplace_back(path);
  gguf::Parsed parsed = gguf::parse(files_.front());
  gguf::add_other_parts(path, files_, parsed);
  version_ = parsed.version;
  entries_ = std::move(parsed.entries);
  metadata_ = std::move(parsed.metadata);
  tensors_ = std::move(parsed.tensors);
  tensor_index_ = std::move(parsed.tensor_index);
  alignment_ = parsed.alignment;
  data_begin_ = parsed.data_begin;
}

std::string GgufFile::architecture() const {
  return string("general.architecture");
}

const GgufValue& GgufFile::at(const std::string& key) const {
  const auto it = metadata_.find(key);
  if (it == metadata_.end())
    throw Error({"cfg.missing", path(), where_of(key), "the key to be there", "no such key", ""});
  return it->second;
}

std::int64_t GgufFile::integer(const std::string& key, std::int64_t lo, std::int64_t hi) const {
  const GgufValue& value = at(key);
  const bool huge = std::holds_alternative<std::uint64_t>(value);
  const std::int64_t v = huge ? INT64_MAX : get<std::int64_t>(*this, key, "an integer");
  if (huge || v < lo || v > hi) {
    throw Error({"cfg.range", path(), where_of(key), std::to_string(lo) + " to " + std::to_string(hi),
                 gguf::describe(value), ""});
  }
  return v;
}

double GgufFile::number(const std::string& key) const {
  const auto v = get<double>(*this, key, "a floating-point number");
  if (!std::isfinite(v)) {
    throw Error(
        {"gguf.value", path(), where_of(key), "a finite number", std::isnan(v) ? "NaN" : "infinity", ""});
  }
  return v;
}

bool GgufFile::boolean(const std::string& key) const {
  return get<bool>(*this, key, "a bool");
}

const std::string& GgufFile::string(const std::string& key) const {
  return get<std::string>(*this, key, "a string");
}

const std::vector<std::string>& GgufFile::strings(const std::string& key) const {
  return get<std::vector<std::string>>(*this, key, "an array of strings");
}

const std::vector<std::int64_t>& GgufFile::integers(const std::string& key) const {
  return get<std::vector<std::int64_t>>(*this, key, "an array of integers");
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto it = tensor_index_.find(std::string(name));
  return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

std::string gguf::describe(const GgufValue& value) {
  struct Visitor {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::int64_t v) const { return "integer " + std::to_string(v); }
    std::string operator()(std::uint64_t v) const { return "integer " + std::to_string(v); }
    std::string operator()(double v) const { return "number " + std::to_string(v); }
    std::string operator()(const std::string& v) const {
      return "string \"" + escape_untrusted(v, 60) + "\"";
    }
    std::string operator()(const std::vector<bool>& v) const {
      return "array of " + std::to_string(v.size()) + " bools";
    }
    std::string operator()(const std::vector<std::int64_t>& v) const {
      return "array of " + std::to_string(v.size()) + " integers";
    }
    std::string operator()(const std::vector<double>& v) const {
      return "array of " + std::to_string(v.size()) + " numbers";
    }
    std::string operator()(const std::vector<std::string>& v) const {
      return "array of " + std::to_string(v.size()) + " strings";
    }
  };
  return std::visit(Visitor{}, value);
}

}  // namespace safetylock
