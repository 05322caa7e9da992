// Writes what the method computes on a real model, for scikit-learn to compare.
//   probe_dump MODEL PAIRS COUNT OUT.safetensors   the first COUNT pairs: rows [N, M, D], labels [N], groups
//   [N],
//     probes of all M heads on the rows whose group is even (weights [M, D], intercepts [M], objectives [M],
//     float64 as text in JSON beside it: OUT.safetensors.json)
#include <iostream>

#include "base/file.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "model/torch_includes.h"
#include "safetylock/head_activations.h"
#include "safetylock/probes.h"
#include "safetylock/prompt_data.h"

using namespace safetylock;

namespace {

SafetensorsEntry entry(const std::string& name, const at::Tensor& tensor) {
  const at::Tensor held = tensor.contiguous();
  return {.name = name,
          .dtype = held.scalar_type() == at::kLong ? "I64" : "F32",
          .shape = {held.sizes().begin(), held.sizes().end()},
          .bytes = std::string(static_cast<const char*>(held.const_data_ptr()), held.nbytes())};
}

void dump(const std::string& path, const std::string& pairs_path, size_t count, const std::string& out) {
  const CausalLM model = CausalLM::from_pretrained(path, {.device = "cpu", .dtype = "float32"});
  std::vector<PromptPair> pairs = load_prompt_pairs(pairs_path);
  pairs.resize(std::min(count, pairs.size()));
  const HeadActivations acts = collect_head_activations(model, pairs);
  const at::Tensor rows = acts.values.flatten(1, 2);  // [N, M, D]
  const at::Tensor train = acts.rows.groups.remainder(2).eq(0).nonzero().flatten();
  Json probes = Json::array();
  for (const Probe& probe :
       train_probes(rows.index_select(0, train), acts.rows.labels.index_select(0, train))) {
    probes.push_back(
        {{"weights", probe.weights}, {"intercept", probe.intercept}, {"objective", probe.objective}});
  }
  write_file_atomically(out, safetensors_to_bytes({entry("rows", rows), entry("labels", acts.rows.labels),
                                                   entry("groups", acts.rows.groups)},
                                                  {}));
  write_file_atomically(out + ".json", probes.dump());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: probe_dump MODEL PAIRS COUNT OUT.safetensors\n";
    return 1;
  }
  try {
    dump(argv[1], argv[2], std::stoul(argv[3]), argv[4]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
