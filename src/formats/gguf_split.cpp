#include "formats/gguf_split.h"

#include <cstdio>
#include <optional>

#include "formats/model_folder.h"
#include "formats/shards.h"
#include "safetylock/error.h"

namespace safetylock::gguf {
namespace {

constexpr const char* kNumber = "split.no";
constexpr const char* kCount = "split.count";
constexpr const char* kTensors = "split.tensors.count";
constexpr const char* kAlignment = "general.alignment";  // each file has its own

std::string where_of(const std::string& key) {
  return "metadata \"" + escape_untrusted(key) + "\"";
}

// "-00002-of-00003.gguf", for part 1 of 3.
std::string ending(std::int64_t part, std::int64_t count) {
  char text[64];
  std::snprintf(text, sizeof text, "-%05lld-of-%05lld.gguf", static_cast<long long>(part + 1),
                static_cast<long long>(count));
  return text;
}

class Parts {
 public:
  Parts(const std::string& path, std::vector<InputFile>& files, Parsed& parsed)
      : files_(files), parsed_(parsed), count_(number(parsed, files.front(), kCount).value_or(1)) {
    const size_t slash = path.find_last_of('/');
    folder_ = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    name_ = slash == std::string::npos ? path : path.substr(slash + 1);
  }

  void add() {
    if (count_ <= 1) return;
    check_count();
    check_first();
    const std::string stem = name_.substr(0, name_.size() - ending(0, count_).size());
    for (std::int64_t part = 1; part < count_; ++part) add_part(part, stem + ending(part, count_));
    const std::optional<std::int64_t> total = number(parsed_, files_.front(), kTensors);
    if (total && static_cast<std::uint64_t>(*total) != parsed_.tensors.size()) {
      fail(where_of(kTensors), std::to_string(*total) + " tensors",
           std::to_string(parsed_.tensors.size()) + " in all parts together", kMixed);
    }
  }

 private:
  static constexpr const char* kMixed = "The parts are not of one model; fetch them again";

  [[noreturn]] void fail(const std::string& where, const std::string& expected, const std::string& found,
                         const std::string& hint, const char* code = "gguf.split") const {
    throw Error({code, files_.back().path(), where, expected, found, hint});
  }

  // A number of the split, which must not be negative.
  std::optional<std::int64_t> number(const Parsed& parsed, const InputFile& file, const char* key) const {
    const auto it = parsed.metadata.find(key);
    if (it == parsed.metadata.end()) return std::nullopt;
    const auto* value = std::get_if<std::int64_t>(&it->second);
    if (value == nullptr || *value < 0) {
      throw Error({"gguf.split", file.path(), where_of(key), "a number from 0", describe(it->second), ""});
    }
    return *value;
  }

  void check_count() const {
    if (count_ > static_cast<std::int64_t>(kMaxShards)) {
      fail(where_of(kCount), "at most " + std::to_string(kMaxShards) + " files", std::to_string(count_), "",
           "limit.shards");
    }
  }

  void check_first() const {
    const std::int64_t part = number(parsed_, files_.front(), kNumber).value_or(0);
    const std::string hint = "Give the first part, whose name ends in " + ending(0, count_).substr(1);
    if (part != 0) {
      fail(where_of(kNumber), "0, the first part",
           std::to_string(part) + " of " + std::to_string(count_) + " parts", hint);
    }
    if (!name_.ends_with(ending(0, count_))) {
      fail("file name", "one ending in " + ending(0, count_) + ", from which the other parts are found",
           "\"" + escape_untrusted(name_) + "\"", "Give all parts the names they were published under");
    }
  }

  void add_part(std::int64_t part, const std::string& name) {
    if (!has_model_file(folder_, name)) {
      fail(escape_untrusted(name), "part " + std::to_string(part + 1) + " of " + std::to_string(count_),
           "no such file", "Fetch the rest of the model into the same folder");
    }
    files_.push_back(open_model_file(folder_, name, InputFile::Hold::on_demand));
    Parsed other = parse(files_.back());
    check_number(other, kNumber, part);
    check_number(other, kCount, count_);
    check_metadata(other);
    for (GgufTensor& tensor : other.tensors) {
      const auto [it, fresh] = parsed_.tensor_index.emplace(tensor.name, parsed_.tensors.size());
      if (!fresh) {
        fail("tensor \"" + escape_untrusted(tensor.name) + "\"", "each tensor in one part",
             "it in " + files_.at(parsed_.tensors[it->second].part).path() + " too", kMixed,
             "gguf.duplicate");
      }
      tensor.part = static_cast<size_t>(part);
      parsed_.tensors.push_back(std::move(tensor));
    }
  }

  void check_number(const Parsed& other, const char* key, std::int64_t expected) const {
    const std::optional<std::int64_t> found = number(other, files_.back(), key);
    if (found == expected) return;
    fail(where_of(key), std::to_string(expected), found ? std::to_string(*found) : "no such key", kMixed);
  }

  // Engines read the first part's metadata only. What another part says on top of it would be passed over,
  // and shows that the parts are mixed when it is something else.
  void check_metadata(const Parsed& other) const {
    for (const GgufEntry& entry : other.entries) {
      const std::string& key = entry.key;
      if (key == kNumber || key == kAlignment) continue;
      const auto first = parsed_.metadata.find(key);
      const GgufValue& found = other.metadata.at(key);
      if (first == parsed_.metadata.end()) {
        fail(where_of(key), "only keys of the first part", describe(found), kMixed);
      }
      if (first->second != found) {
        fail(where_of(key), "what the first part says, " + describe(first->second), describe(found), kMixed);
      }
    }
  }

  std::vector<InputFile>& files_;
  Parsed& parsed_;
  std::int64_t count_;
  std::string folder_, name_;
};

}  // namespace

void add_other_parts(const std::string& path, std::vector<InputFile>& files, Parsed& parsed) {
  Parts(path, files, parsed).add();
}

}  // namespace safetylock::gguf
