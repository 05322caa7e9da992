#include "formats/shards.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/log.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{64} << 20;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

// Letters, digits and a few marks: no separator, no drive, no control or bidirectional character, nothing
// hidden.
bool is_plain_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '+';
  };
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), plain) && name.ends_with(".safetensors");
}

class Index {
 public:
  explicit Index(const std::string& folder)
      : folder_(folder),
        path_(model_file_label(folder, kIndex)),
        tree_(read_model_json(folder, kIndex, kMaxIndexBytes)) {
    const Json& json = *tree_;
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object() ||
        json["weight_map"].empty()) {
      fail("shard.index", "/weight_map", "an object that maps tensors to files", "none, or an empty one");
    }
    for (const auto& [tensor, file] : json["weight_map"].items()) {
      if (!file.is_string())
        fail("shard.index", "/weight_map/" + escape_untrusted(tensor), "a file name", describe_json(file));
      const auto name = file.get<std::string>();
      if (!is_plain_name(name)) {
        fail("shard.path", "/weight_map/" + escape_untrusted(tensor),
             "a plain file name ending in .safetensors", "\"" + escape_untrusted(name) + "\"");
      }
      shards_[name].push_back(tensor);
      place_.emplace(tensor, name);
      if (shards_.size() > kMaxShards)
        fail("limit.shards", "/weight_map", "at most " + std::to_string(kMaxShards) + " files", "more");
    }
  }

  std::vector<SafetensorsFile> open() const {
    std::vector<SafetensorsFile> files;
    std::uint64_t total = 0;
    std::unordered_map<std::string, std::string> holder;  // tensor -> shard
    for (const auto& [name, tensors] : shards_) {
      files.push_back(open_shard(name, tensors.front()));
      for (const SafetensorsTensor& t : files.back().tensors()) {
        const auto [it, fresh] = holder.emplace(t.name, name);
        if (!fresh)
          fail("shard.duplicate", "tensor \"" + escape_untrusted(t.name) + "\"", "it in one file",
               it->second + " and " + name);
        check_listed(t.name, name);
        total += t.bytes;  // Each is below its file's size, and there are at most kMaxShards files.
      }
      check_mapping(name, tensors, files.back());
    }
    check_total(total);
    note_unlisted_files();
    return files;
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, path_, where, expected, found, hint});
  }

  // Not held open: a large model has hundreds of shards, and a process a limited number of descriptors.
  SafetensorsFile open_shard(const std::string& name, const std::string& needed_by) const {
    if (!is_regular_file(join_path(folder_, name))) {
      fail("shard.missing", name, "the file, for tensor \"" + escape_untrusted(needed_by) + "\"",
           "no such file", "Fetch the rest of the model");
    }
    return SafetensorsFile::open(open_model_file(folder_, name, InputFile::Hold::on_demand));
  }

  void check_mapping(const std::string& name, const std::vector<std::string>& tensors,
                     const SafetensorsFile& file) const {
    for (const std::string& t : tensors) {
      if (file.find(t) == nullptr) {
        fail("shard.mapping", "tensor \"" + escape_untrusted(t) + "\"", "it in " + name,
             "another tensor table", "Fetch the model again");
      }
    }
  }

  // A tensor that is in a shard must be in the index too; where it names another shard for it, that one is
  // checked in its turn.
  void check_listed(const std::string& tensor, const std::string& shard) const {
    if (place_.contains(tensor)) return;
    fail("shard.mapping", "tensor \"" + escape_untrusted(tensor) + "\" of " + shard, "it in the index",
         "no entry");
  }

  void check_total(std::uint64_t total) const {
    const Json& json = *tree_;
    if (!json.contains("metadata") || !json["metadata"].is_object() ||
        !json["metadata"].contains("total_size"))
      return;
    const Json& claimed = json["metadata"]["total_size"];
    if (!claimed.is_number() || claimed.get<double>() != static_cast<double>(total)) {
      fail("shard.total_size", "/metadata/total_size", std::to_string(total) + ", the sum of all tensors",
           describe_json(claimed));
    }
  }

  void note_unlisted_files() const {
    for (const std::string& name : names_in(folder_)) {
      if (name.ends_with(".safetensors") && !shards_.contains(name))
        log::info("{}: {} is not in the index and is not read", path_, escape_untrusted(name));
    }
  }

  std::string folder_;
  std::string path_;
  JsonTree tree_;
  std::map<std::string, std::vector<std::string>> shards_;  // file -> tensors it should hold
  std::unordered_map<std::string, std::string> place_;      // tensor -> file that should hold it
};

}  // namespace

std::vector<SafetensorsFile> open_weight_files(const std::string& folder) {
  const bool single = has_model_file(folder, kSingle), index = has_model_file(folder, kIndex);
  if (single && index) {
    throw Error({"shard.ambiguous", escape_untrusted(folder, 1000), "", "model.safetensors or its index",
                 "both", "Remove the one that does not belong to the model"});
  }
  if (index) return Index(folder).open();
  for (const char* pickle : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (single || !has_model_file(folder, pickle)) continue;
    throw Error({"model.pickle_refused", escape_untrusted(folder, 1000), pickle, "model.safetensors",
                 "a Python pickle",
                 "Pickles can run code and are never read; save the model with safe_serialization"});
  }
  std::vector<SafetensorsFile> files;
  files.push_back(SafetensorsFile::open(open_model_file(folder, kSingle)));
  return files;
}

}  // namespace safetylock
