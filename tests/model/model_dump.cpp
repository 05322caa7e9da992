// Writes what a model computes, for an oracle in Python to compare.
//   model_dump logits MODEL IDS.json OUT.safetensors [ADAPTER]   IDS.json: a list of lists of token ids. For
//   sequence i: logits.i [T, V], heads.i [T, L, H, D], and 64 greedy tokens of all sequences in one batch,
//     greedy.i [64]
//   model_dump memory MODEL DTYPE   prints the weights' bytes and by how much loading raised the peak of
//   resident memory
#include <fstream>
#include <iostream>

#include "base/file.h"
#include "base/json.h"
#include "engine/token_generator.h"
#include "formats/safetensors.h"
#include "model/torch_includes.h"

using namespace safetylock;

namespace {

constexpr std::uint64_t kMaxJson = 1 << 20;

SafetensorsEntry entry(const std::string& name, const at::Tensor& tensor) {
  const at::Tensor held = tensor.contiguous();
  return {.name = name,
          .dtype = held.scalar_type() == at::kLong ? "I64" : "F32",
          .shape = {held.sizes().begin(), held.sizes().end()},
          .bytes = std::string(static_cast<const char*>(held.const_data_ptr()), held.nbytes())};
}

int dump_logits(const std::string& path, const std::string& ids_path, const std::string& out,
                const std::string& adapter) {
  const auto sequences =
      parse_json(read_file(ids_path, kMaxJson), ids_path)->get<std::vector<std::vector<TokenId>>>();
  const CausalLM model(
      load_decoder(Checkpoint::open(path), {.device = "cpu", .dtype = "float32", .adapter = adapter}));
  std::vector<SafetensorsEntry> entries;
  std::vector<TokenRequest> requests;
  for (size_t i = 0; i < sequences.size(); ++i) {
    std::vector<at::Tensor> heads;
    const HookHandle hook =
        model.add_hook(HookPoint::head_output, {},
                       [&](const HookContext&, at::Tensor& value) { heads.push_back(value.clone()); });
    entries.push_back(
        entry("logits." + std::to_string(i), model.logits({sequences[i]}, LogitsOf::all_tokens)));
    entries.push_back(entry("heads." + std::to_string(i), at::stack(heads, 1)));
    requests.push_back({.prompt_ids = sequences[i], .strength = {}});
  }
  const std::vector<TokenResult> replies =
      TokenGenerator(
          model.impl(), {}, requests,
          {.max_new_tokens = 64, .batch_size = 16, .logprobs = 0, .stop_ids = {}, .on_progress = {}})
          .run();
  for (size_t i = 0; i < replies.size(); ++i) {
    entries.push_back(entry("greedy." + std::to_string(i), at::tensor(replies[i].token_ids, at::kLong)));
  }
  write_file_atomically(out, safetensors_to_bytes(entries, {}));
  return 0;
}

std::int64_t status_kib(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1));
  }
  throw std::runtime_error("no " + field + " in /proc/self/status");
}

int print_memory(const std::string& path, const std::string& dtype) {
  const std::int64_t before = status_kib("VmRSS");
  const CausalLM model(load_decoder(Checkpoint::open(path), {.device = "cpu", .dtype = dtype}));
  std::cout << model.weight_bytes() << ' ' << (status_kib("VmHWM") - before) * 1024 << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if ((arguments.size() == 4 || arguments.size() == 5) && arguments[0] == "logits")
      return dump_logits(arguments[1], arguments[2], arguments[3], arguments.size() == 5 ? arguments[4] : "");
    if (arguments.size() == 3 && arguments[0] == "memory") return print_memory(arguments[1], arguments[2]);
    std::cerr << "usage: model_dump logits MODEL IDS.json OUT.safetensors [ADAPTER] | memory MODEL DTYPE\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  return 1;
}
