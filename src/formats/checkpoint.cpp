#include "formats/checkpoint.h"

#include <algorithm>

#include "base/file.h"
#include "base/folder.h"
#include "base/out_of_memory.h"
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
  const std::vector<std::string> names = names_in(folder);
  const auto gguf = std::find_if(names.begin(), names.end(),
                                 [](const std::string& name) { return name.ends_with(".gguf"); });
  if (gguf == names.end()) return;
  throw Error({"io.wrong_format", label, "", "a Hugging Face folder, with a config.json",
               "a folder of GGUF files",
               "Give one of the files: " + escape_untrusted(join_path(folder, *gguf), 1000)});
}

std::unique_ptr<Checkpoint> open_any(const std::string& path_or_repository) {
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

}  // namespace

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string& path) {
  return naming_memory_errors(path, [&] { return open_any(path); });
}

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto& all = tensors();
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const CheckpointTensor& t) { return t.name == name; });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace safetylock
