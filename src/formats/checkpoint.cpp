#include "formats/checkpoint.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "formats/gguf_checkpoint.h"
#include "formats/hf_checkpoint.h"
#include "formats/model_folder.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

// Folders that people take for a model's.
void refuse_other_folders(const std::string& folder) {
  if (has_model_file(folder, "config.json")) return;
  const std::string label = escape_untrusted(folder, 1000);
  if (has_model_file(folder, "adapter_config.json")) {
    throw Error({"io.wrong_format", label, "", "a model", "a LoRA adapter",
                 "Give the base model here and the folder as the adapter"});
  }
  std::vector<std::string> files;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path().string());
  }
  if (files.empty()) return;
  throw Error(
      {"io.wrong_format", label, "", "a Hugging Face folder, with a config.json", "a folder of GGUF files",
       "Give one of the files: " + escape_untrusted(*std::min_element(files.begin(), files.end()), 1000)});
}

}  // namespace

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string& path_or_repository) {
  const std::string path = resolve_model_path(path_or_repository);
  if (is_directory(path)) {
    refuse_other_folders(path);
    return open_hf_checkpoint(path);
  }
  if (path.ends_with(".safetensors") || path.ends_with(".json")) {
    throw Error({"io.wrong_format", escape_untrusted(path, 1000), "",
                 "a GGUF file or the folder of a Hugging Face model", "one file of such a folder",
                 "Give the folder that holds it"});
  }
  return open_gguf_checkpoint(path);
}

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto& all = tensors();
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const CheckpointTensor& t) { return t.name == name; });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace safetylock
