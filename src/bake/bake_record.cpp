#include "bake/bake_record.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/config_limits.h"
#include "formats/gguf.h"
#include "formats/model_json.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

std::optional<BakeRecord> record_in_folder(const std::string& folder) {
  const JsonTree tree = read_model_json(folder, "config.json", limits::kConfigBytes);
  const JsonObject root(*tree, model_file_label(folder, "config.json"));
  if (!root.has("safetylock")) return std::nullopt;
  const JsonObject o = root.object("safetylock");
  return BakeRecord{o.string("lock_digest"), o.number("alpha"), o.string("base_architecture"),
                    o.boolean_or("with_adapter", false)};
}

std::optional<BakeRecord> record_in_gguf(const GgufFile& file) {
  if (!file.has(kDigestKey)) return std::nullopt;
  return BakeRecord{file.string(kDigestKey), file.number(kAlphaKey), file.string(kBaseArchitectureKey),
                    file.boolean(kWithAdapterKey)};
}

}  // namespace

std::optional<BakeRecord> read_bake_record(const std::string& path) {
  return is_directory(path) ? record_in_folder(path) : record_in_gguf(GgufFile(path));
}

void refuse_baked(const std::string& path) {
  const std::optional<BakeRecord> record = read_bake_record(path);
  if (!record) return;
  throw Error({"bind.bake", escape_untrusted(path, 1000), "bake", "a model that is not baked yet",
               "one with the lock " + escape_untrusted(record->lock_digest, 16) + " in it",
               "A second lock would add to the first: bake the model it was made from"});
}

ModelConfig as_lock_names_it(ModelConfig config, const SafetyLock& lock) {
  const std::string& wanted = lock.identity().architecture;
  const bool saved_as_llama =
      wanted == "MistralForCausalLM" || wanted == "Qwen2ForCausalLM" || wanted == "Phi3ForCausalLM";
  if (config.architecture == "LlamaForCausalLM" && saved_as_llama) config.architecture = wanted;
  return config;
}

}  // namespace safetylock
