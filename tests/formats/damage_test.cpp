// Every prefix and damaged byte of the files that have no such test beside their rows (docs/threat-model.md).
#include "support/damage.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "formats/checkpoint.h"
#include "formats/lora.h"
#include "safetylock/prompt_data.h"
#include "support/gguf_builder.h"
#include "support/hf_folder.h"
#include "support/lora_folder.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::Cut;
using test::damage_everywhere;

class Damage : public testing::Test {
 protected:
  // Damages the file `name` of the folder; `read` is given the folder's path or that of `given`.
  template <typename Read>
  void damage(const std::string& name, Cut cut, Read&& read, const std::string& given = "") {
    damage_everywhere(test::read_all(folder_.path(name)), cut, [&](const std::string& bytes) {
      std::filesystem::remove(folder_.path(name));  // writing over a file waits for the disk
      folder_.write(name, bytes);
      (void)read(folder_.path(given));
    });
  }

  test::TemporaryFolder folder_;
};

TEST_F(Damage, F5_ConfigJson) {
  test::tiny_hf("llama").write(folder_);
  damage("config.json", Cut::must_be_refused, &Checkpoint::open);
}

TEST_F(Damage, F5_GenerationConfigJson) {
  test::tiny_hf("llama").write(folder_);
  folder_.write("generation_config.json",
                R"({"eos_token_id": [2, 3], "temperature": 0.6, "do_sample": true})");
  damage("generation_config.json", Cut::must_be_refused, &Checkpoint::open);
}

TEST_F(Damage, F5_ShardIndex) {
  const test::HfFolder model = test::tiny_hf("llama", false, false, {.layers = 1});
  folder_.write("config.json", model.config.dump());
  Json index = {{"metadata", {{"total_size", 0}}}};
  std::uint64_t total = 0;
  for (const SafetensorsEntry& t : model.tensors) {
    index["weight_map"][t.name] = "m.safetensors";
    total += t.bytes.size();
  }
  index["metadata"]["total_size"] = total;
  folder_.write("m.safetensors", safetensors_to_bytes(model.tensors, {}));
  folder_.write("model.safetensors.index.json", index.dump(1));
  damage("model.safetensors.index.json", Cut::must_be_refused, &Checkpoint::open);
}

TEST_F(Damage, F5_SplitGguf) {
  test::GgufBuilder first = test::tiny_gguf("llama", {.layers = 1}), second;
  const size_t tensors = first.tensors.size();
  second.tensors = {first.tensors.back()};
  first.tensors.pop_back();
  for (std::uint16_t i = 0; i < 2; ++i) {
    test::GgufBuilder& part = i == 0 ? first : second;
    part.raw("split.no", 2, test::bytes_of(i)).raw("split.count", 2, test::bytes_of(std::uint16_t{2}));
    part.raw("split.tensors.count", 5, test::bytes_of(static_cast<std::int32_t>(tensors)));
    folder_.write("m-0000" + std::to_string(i + 1) + "-of-00002.gguf", part.build());
  }
  damage("m-00002-of-00002.gguf", Cut::must_be_refused, &Checkpoint::open, "m-00001-of-00002.gguf");
}

TEST_F(Damage, F5_Adapter) {
  const test::LoraFolder adapter;
  folder_.write("adapter_config.json", adapter.config.dump(1));
  folder_.write("adapter_model.safetensors", safetensors_to_bytes(adapter.tensors, {{"format", "pt"}}));
  damage("adapter_config.json", Cut::must_be_refused, &load_lora);
  folder_.write("adapter_config.json", adapter.config.dump(1));
  damage("adapter_model.safetensors", Cut::must_be_refused, &load_lora);
}

// A cut at the end of a row leaves fewer rows.
TEST_F(Damage, F5_PairsAndPrompts) {
  const Json row = {
      {"prompt", "p\u00E9\n\"1\""}, {"safe", "a safe reply"}, {"unsafe", "an \U0001F600 unsafe one"}};
  folder_.write("pairs.json", Json::array({row, row}).dump(1));
  damage("pairs.json", Cut::must_be_refused, &load_prompt_pairs, "pairs.json");
  folder_.write("pairs.jsonl", row.dump() + "\n\n" + row.dump(-1, ' ', true) + "\r\n");
  damage("pairs.jsonl", Cut::may_be_sound, &load_prompt_pairs, "pairs.jsonl");
  folder_.write("pairs.csv", "unsafe,safe,prompt\n\"an \"\"unsafe\"\",\r\none\",safe,p\nu,s,\u00E9\n");
  damage("pairs.csv", Cut::may_be_sound, &load_prompt_pairs, "pairs.csv");
}

}  // namespace
}  // namespace safetylock
