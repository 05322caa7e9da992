#include "formats/checkpoint.h"

#include <algorithm>

#include "base/file.h"
#include "formats/gguf_checkpoint.h"
#include "formats/hf_checkpoint.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

void refuse_adapter(const std::string& folder) {
  const bool adapter = is_regular_file(join_path(folder, "adapter_config.json"));
  if (!adapter || is_regular_file(join_path(folder, "config.json"))) return;
  throw Error({"io.wrong_format", escape_untrusted(folder, 1000), "", "a model", "a LoRA adapter",
               "Give the base model here and the folder as the adapter"});
}

}  // namespace

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string& path) {
  if (is_directory(path)) {
    refuse_adapter(path);
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
