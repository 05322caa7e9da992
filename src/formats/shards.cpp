#include "formats/shards.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

namespace fs = std::filesystem;

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
  Index(const std::string& folder, const std::string& path)
      : folder_(folder),
        path_(escape_untrusted(path, 1000)),
        json_(parse_json(read_file(path, kMaxIndexBytes), path_)) {
    if (!json_.is_object() || !json_.contains("weight_map") || !json_["weight_map"].is_object() ||
        json_["weight_map"].empty()) {
      fail("shard.index", "/weight_map", "an object that maps tensors to files", "none, or an empty one");
    }
    for (const auto& [tensor, file] : json_["weight_map"].items()) {
      if (!file.is_string())
        fail("shard.index", "/weight_map/" + escape_untrusted(tensor), "a file name", describe_json(file));
      const auto name = file.get<std::string>();
      if (!is_plain_name(name)) {
        fail("shard.path", "/weight_map/" + escape_untrusted(tensor),
             "a plain file name ending in .safetensors", "\"" + escape_untrusted(name) + "\"");
      }
      shards_[name].push_back(tensor);
      if (shards_.size() > kMaxShards)
        fail("limit.shards", "/weight_map", "at most " + std::to_string(kMaxShards) + " files", "more");
    }
  }

  std::vector<SafetensorsFile> open() const {
    std::vector<SafetensorsFile> files;
    std::uint64_t total = 0;
    std::map<std::string, std::string> holder;  // tensor -> shard
    for (const auto& [name, tensors] : shards_) {
      files.push_back(open_shard(name, tensors.front()));
      for (const SafetensorsTensor& t : files.back().tensors()) {
        const auto [it, fresh] = holder.emplace(t.name, name);
        if (!fresh)
          fail("shard.duplicate", "tensor \"" + escape_untrusted(t.name) + "\"", "it in one file",
               it->second + " and " + name);
        total += t.bytes;  // Each is below its file's size, and there are at most kMaxShards files.
      }
      check_mapping(name, tensors, files.back());
    }
    check_unlisted(holder);
    check_total(total);
    return files;
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, path_, where, expected, found, hint});
  }

  SafetensorsFile open_shard(const std::string& name, const std::string& needed_by) const {
    const fs::path path = fs::path(folder_) / name;
    std::error_code ignored;
    if (!fs::exists(path, ignored)) {
      fail("shard.missing", name, "the file, for tensor \"" + escape_untrusted(needed_by) + "\"",
           "no such file", "Fetch the rest of the model");
    }
    check_link(path, name);
    return SafetensorsFile::open(path.string());
  }

  // A hub cache links snapshots/<revision>/<name> to blobs/<hash> of the same repository; any other link out
  // of the folder could make us read a file that the model does not contain.
  void check_link(const fs::path& path, const std::string& name) const {
    if (!fs::is_symlink(path)) return;
    std::error_code failed;
    const fs::path target = fs::canonical(path, failed);
    const fs::path folder = fs::canonical(folder_, failed);
    const bool inside = target.parent_path() == folder;
    const fs::path repository = folder.parent_path().parent_path();
    const bool in_cache =
        folder.parent_path().filename() == "snapshots" && target.parent_path() == repository / "blobs";
    if (failed || !(inside || in_cache)) {
      fail("shard.path", name, "a file of the model's folder", "a link that leaves it",
           "Replace the link by the file");
    }
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

  void check_unlisted(const std::map<std::string, std::string>& holder) const {
    for (const auto& [tensor, shard] : holder) {
      const auto& listed = shards_.at(shard);
      if (std::find(listed.begin(), listed.end(), tensor) == listed.end()) {
        fail("shard.mapping", "tensor \"" + escape_untrusted(tensor) + "\" of " + shard, "it in the index",
             "no entry");
      }
    }
  }

  void check_total(std::uint64_t total) const {
    if (!json_.contains("metadata") || !json_["metadata"].is_object() ||
        !json_["metadata"].contains("total_size"))
      return;
    const Json& claimed = json_["metadata"]["total_size"];
    if (!claimed.is_number() || claimed.get<double>() != static_cast<double>(total)) {
      fail("shard.total_size", "/metadata/total_size", std::to_string(total) + ", the sum of all tensors",
           describe_json(claimed));
    }
  }

  std::string folder_;
  std::string path_;
  Json json_;
  std::map<std::string, std::vector<std::string>> shards_;  // file -> tensors it should hold
};

}  // namespace

std::vector<SafetensorsFile> open_weight_files(const std::string& folder) {
  const std::string single = join_path(folder, kSingle);
  const std::string index = join_path(folder, kIndex);
  if (is_regular_file(single) && is_regular_file(index)) {
    throw Error({"shard.ambiguous", escape_untrusted(folder, 1000), "", "model.safetensors or its index",
                 "both", "Remove the one that does not belong to the model"});
  }
  if (is_regular_file(index)) return Index(folder, index).open();
  if (!is_regular_file(single) && is_regular_file(join_path(folder, "pytorch_model.bin"))) {
    throw Error({"model.pickle_refused", escape_untrusted(folder, 1000), "pytorch_model.bin",
                 "model.safetensors", "a Python pickle",
                 "Pickles can run code and are never read; save the model with safe_serialization"});
  }
  std::vector<SafetensorsFile> files;
  files.push_back(SafetensorsFile::open(single));
  return files;
}

}  // namespace safetylock
