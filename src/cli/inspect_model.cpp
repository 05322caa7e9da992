#include <algorithm>
#include <map>

#include "cli/inspect_parts.h"
#include "formats/checkpoint.h"
#include "formats/ggml_types.h"
#include "formats/lora.h"
#include "safetylock/chat_template.h"
#include "safetylock/error.h"
#include "safetylock/tokenizer.h"

namespace safetylock::cli {
namespace {

constexpr std::uint32_t kMaxGgmlType = 64;

std::uint64_t count_of(const CheckpointTensor& tensor) {
  std::uint64_t count = 1;
  for (const std::uint64_t extent : tensor.shape) count *= extent;
  return count;
}

std::uint64_t stored_bytes(const std::string& storage, std::uint64_t values) {
  for (std::uint32_t type = 0; type < kMaxGgmlType; ++type) {
    const auto traits = ggml_traits(type);
    if (traits && traits->name == storage) return values / traits->block_elements * traits->block_bytes;
  }
  return values * 8;  // F64, which only safetensors has
}

struct Storage {
  std::int64_t tensors = 0;
  std::uint64_t values = 0, bytes = 0;
};

Json storage_json(const Checkpoint& checkpoint, std::uint64_t& parameters, std::uint64_t& bytes) {
  std::map<std::string, Storage> by_type;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    Storage& storage = by_type[tensor.storage];
    storage.tensors += 1;
    storage.values += count_of(tensor);
  }
  Json result = Json::array();
  for (auto& [type, storage] : by_type) {
    storage.bytes = stored_bytes(type, storage.values);
    parameters += storage.values;
    bytes += storage.bytes;
    result.push_back({{"type", type},
                      {"tensors", storage.tensors},
                      {"parameters", storage.values},
                      {"bytes", storage.bytes}});
  }
  return result;
}

Json config_json(const ModelConfig& c) {
  return {{"architecture", c.architecture},
          {"layers", c.num_hidden_layers},
          {"heads", c.num_attention_heads},
          {"kv_heads", c.num_key_value_heads},
          {"head_dim", c.head_dim},
          {"hidden_size", c.hidden_size},
          {"intermediate_size", c.intermediate_size},
          {"vocab_size", c.vocab_size},
          {"context", c.max_position_embeddings},
          {"tied_embeddings", c.tie_word_embeddings},
          {"eos_token_ids", c.eos_token_ids}};
}

/// {"supported": true, ...} or {"supported": false, "problem": "..."}; a missing part is not supported
/// either.
template <typename Describe>
Json part(Describe&& describe) {
  try {
    Json json = {{"supported", true}};
    json.update(describe());
    return json;
  } catch (const Error& error) {
    return {{"supported", false}, {"problem", error.what()}};
  }
}

Json tokenizer_json(const std::string& path) {
  const Tokenizer tokenizer = Tokenizer::from_pretrained(path);
  return {{"vocab_size", tokenizer.vocab_size()}, {"digest", tokenizer.digest()}};
}

Json template_json(const std::string& path) {
  const ChatTemplate chat_template = ChatTemplate::from_pretrained(path);
  return {{"characters", chat_template.source().size()}};
}

}  // namespace

Json inspect_model(const std::string& path) {
  const std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(path);
  std::uint64_t parameters = 0, bytes = 0;
  Json storage = storage_json(*checkpoint, parameters, bytes);
  const Json tokenizer = part([&] { return tokenizer_json(path); });
  const Json chat_template = part([&] { return template_json(path); });
  const bool usable = tokenizer.at("supported") && chat_template.at("supported");
  return {{"schema", "safetylock.inspect/1"},
          {"kind", "model"},
          {"path", path},
          {"format", checkpoint->format()},
          {"config", config_json(checkpoint->config())},
          {"parameters", parameters},
          {"stored_bytes", bytes},
          {"memory_bytes", {{"float32", parameters * 4}, {"bfloat16", parameters * 2}}},
          {"storage", std::move(storage)},
          {"tokenizer", tokenizer},
          {"chat_template", chat_template},
          {"supports", usable ? Json::array({"extract", "generate", "evaluate"}) : Json::array()}};
}

Json inspect_adapter(const std::string& path) {
  const LoraAdapter adapter = load_lora(path);
  std::uint64_t parameters = 0, min_rank = 0, max_rank = 0;
  for (const LoraModule& module : adapter.modules) {
    parameters += module.a.size() + module.b.size();
    min_rank = min_rank == 0 ? module.rank : std::min(min_rank, module.rank);
    max_rank = std::max(max_rank, module.rank);
  }
  Json replaced = Json::array();
  for (const LoraReplacement& replacement : adapter.replacements) {
    parameters += replacement.values.size();
    replaced.push_back(replacement.tensor);
  }
  return {{"schema", "safetylock.inspect/1"},
          {"kind", "adapter"},
          {"path", path},
          {"format", "PEFT LoRA"},
          {"base_model", adapter.base_model},
          {"modules", adapter.modules.size()},
          {"targets", adapter.targets},
          {"rank", {{"min", min_rank}, {"max", max_rank}}},
          {"replaced_tensors", std::move(replaced)},
          {"parameters", parameters},
          {"supports", Json::array({"generate", "evaluate"})}};
}

}  // namespace safetylock::cli
