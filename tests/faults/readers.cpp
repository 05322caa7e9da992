#include "faults/readers.h"

#include "formats/checkpoint.h"
#include "formats/lora.h"
#include "lock/sample_lock.h"
#include "safetylock/prompt_data.h"
#include "safetylock/published_lock.h"
#include "safetylock/tokenizer.h"
#include "support/gguf_builder.h"
#include "support/hf_folder.h"
#include "support/lora_folder.h"
#include "text/tiny_sentencepiece.h"
#include "text/tiny_tokenizer.h"

namespace safetylock::test {
namespace {

const char* const kTemplate =
    "{% for m in messages %}{{ '<' ~ m.role ~ '>' }}{{ m.content | trim }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

// The parts of `whole` whose numbers leave the same rest.
template <typename T>
std::vector<T> every_second(const std::vector<T>& whole, size_t rest) {
  std::vector<T> part;
  for (size_t i = rest; i < whole.size(); i += 2) part.push_back(whole[i]);
  return part;
}

void write_shards(const TemporaryFolder& folder) {
  const HfFolder model = tiny_hf("llama");
  folder.write("shards/config.json", model.config.dump());
  Json index;
  for (size_t i = 0; i < 2; ++i) {
    const std::string name = "part" + std::to_string(i) + ".safetensors";
    const auto part = every_second(model.tensors, i);
    for (const SafetensorsEntry& t : part) index["weight_map"][t.name] = name;
    folder.write("shards/" + name, safetensors_to_bytes(part, {}));
  }
  folder.write("shards/model.safetensors.index.json", index.dump());
}

void write_split_gguf(const TemporaryFolder& folder) {
  const GgufBuilder whole = tiny_gguf("llama");
  for (size_t i = 0; i < 2; ++i) {
    GgufBuilder part;
    if (i == 0) part = whole;
    part.tensors = every_second(whole.tensors, i);
    part.raw("split.no", 2, bytes_of(static_cast<std::uint16_t>(i)));
    part.raw("split.count", 2, bytes_of(std::uint16_t{2}));
    part.raw("split.tensors.count", GgufBuilder::kI32,
             bytes_of(static_cast<std::int32_t>(whole.tensors.size())));
    folder.write("m-0000" + std::to_string(i + 1) + "-of-00002.gguf", part.build());
  }
}

void write_gguf_tokenizer(const TemporaryFolder& folder) {
  GgufBuilder b;
  std::vector<std::string> merges;
  for (const auto& [left, right] : tiny_merges()) merges.push_back(left + " " + right);
  b.string("general.architecture", "llama").string("tokenizer.ggml.model", "gpt2");
  b.string("tokenizer.ggml.pre", "gpt-2").strings("tokenizer.ggml.tokens", tiny_tokens());
  b.i32s("tokenizer.ggml.token_type", std::vector<std::int32_t>(tiny_tokens().size(), 1));
  b.strings("tokenizer.ggml.merges", merges).string("tokenizer.chat_template", kTemplate);
  folder.write("tokenizer.gguf", b.build());
}

void write_text_folders(const TemporaryFolder& folder) {
  folder.write("tokenizer/tokenizer.json", tiny_tokenizer().dump());
  folder.write("pieces/tokenizer.model", tiny_sentencepiece().serialised());
  folder.write(
      "pieces/tokenizer_config.json",
      R"({"tokenizer_class": "LlamaTokenizer", "legacy": false, "bos_token": "<s>", "eos_token": "</s>",
                   "chat_template": "{{ messages[0].content }}"})");
  folder.write("pieces/special_tokens_map.json", R"({"unk_token": "<unk>"})");
  folder.write("pieces/added_tokens.json", R"({"<more>": 279})");
  folder.write("template/chat_template.jinja", kTemplate);
  folder.write("template/tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>"})");
}

void write_pairs(const TemporaryFolder& folder) {
  std::string lines, csv = "prompt,safe,unsafe\n";
  for (const std::string n : {"1", "2", "3"}) {
    lines +=
        R"({"prompt": "a question of some length )" + n +
        R"(", "safe": "I would rather not answer this one", "unsafe": "Here is how that is done", "n": [{}]})" +
        "\n";
    csv += "a question of some length " + n + ",\"I would rather not, really\",Here is how that is done\n";
  }
  folder.write("pairs.jsonl", lines);
  folder.write("pairs.csv", csv);
  folder.write("prompts.json",
               R"(["a question of some length", {"goal": "another one, and longer than that"}])");
  folder.write("prompts.txt", "a question of some length\nanother one, and longer than that\n");
}

}  // namespace

std::vector<ReaderCase> reader_cases(const TemporaryFolder& folder) {
  tiny_hf("llama").write(folder);
  folder.write("generation_config.json", R"({"eos_token_id": [2, 3]})");
  write_shards(folder);
  folder.write("m.gguf", tiny_gguf("llama").build());
  write_split_gguf(folder);
  write_gguf_tokenizer(folder);
  write_text_folders(folder);
  write_pairs(folder);
  const LoraFolder adapter;
  folder.write("adapter/adapter_config.json", adapter.config.dump());
  folder.write("adapter/adapter_model.safetensors", safetensors_to_bytes(adapter.tensors, {}));
  sample_lock().save(folder.path("a.lock.safetensors"));
  folder.write("a.safelock", golden("formats/published.safelock"));
  ModelConfig base;
  base.architecture = "LlamaForCausalLM";
  base.num_hidden_layers = 12;
  base.num_attention_heads = base.num_key_value_heads = 32;
  base.head_dim = 16;
  base.hidden_size = 512;

  std::vector<ReaderCase> cases;
  const auto add = [&](const std::string& name, const std::string& file, auto read) {
    cases.push_back({name, [read, path = folder.path(file)] { (void)read(path); }});
  };
  add("Hugging Face folder", "", &Checkpoint::open);
  add("shards", "shards", &Checkpoint::open);
  add("GGUF", "m.gguf", &Checkpoint::open);
  add("split GGUF", "m-00001-of-00002.gguf", &Checkpoint::open);
  add("adapter", "adapter", &load_lora);
  add("tokenizer.json", "tokenizer", &Tokenizer::from_pretrained);
  add("tokenizer.model in a folder", "pieces", &Tokenizer::from_pretrained);
  add("tokenizer.model", "pieces/tokenizer.model", &Tokenizer::from_sentencepiece);
  add("GGUF tokenizer", "tokenizer.gguf", &Tokenizer::from_pretrained);
  add("chat template", "template", &ChatTemplate::from_pretrained);
  add("chat template in tokenizer_config.json", "pieces", &ChatTemplate::from_pretrained);
  add("chat template in GGUF", "tokenizer.gguf", &ChatTemplate::from_pretrained);
  add("pairs in JSONL", "pairs.jsonl", &load_prompt_pairs);
  add("pairs in CSV", "pairs.csv", &load_prompt_pairs);
  add("prompts in JSON", "prompts.json", &load_prompts);
  add("prompts as text", "prompts.txt", &load_prompts);
  add("lock", "a.lock.safetensors", &SafetyLock::load);
  add("published lock", "a.safelock",
      [base](const std::string& path) { return import_published_lock(path, base); });
  return cases;
}

}  // namespace safetylock::test
