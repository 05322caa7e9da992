// Copies of the tiny models with a lock baked in, and ways to break them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bake/lock_bias.h"
#include "bake/model_lock.h"
#include "bake/model_tensors.h"
#include "bake/stored_values.h"
#include "base/folder.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "safetylock/bake.h"
#include "support/temporary.h"

namespace safetylock::test {

inline std::string tiny_folder(const std::string& name) {
  return std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/model/" + name;
}

/// A safetensors file as it is, to be changed and written again.
struct EditableShard {
  explicit EditableShard(std::string file_path) : path(std::move(file_path)) {
    const auto file = SafetensorsFile::open(path);
    for (const SafetensorsTensor& t : file.tensors()) {
      SafetensorsEntry entry{t.name, t.dtype, t.shape, std::string(t.bytes, '\0')};
      file.read_bytes(t, 0, std::as_writable_bytes(std::span(entry.bytes.data(), entry.bytes.size())));
      tensors.push_back(std::move(entry));
    }
  }
  SafetensorsEntry& at(const std::string& name) {
    for (SafetensorsEntry& t : tensors) {
      if (t.name == name) return t;
    }
    throw std::runtime_error("no tensor " + name);
  }
  void write() const {
    std::filesystem::remove(path);  // the old file may be a hard link of the source
    std::ofstream(path, std::ios::binary) << safetensors_to_bytes(tensors, {{"format", "pt"}});
  }

  std::string path;
  std::vector<SafetensorsEntry> tensors;
};

class BakedFolder {
 public:
  explicit BakedFolder(const std::string& model, const std::string& adapter = {}, double alpha = 3.0)
      : source(tiny_folder(model)), lock(lock_for(ModelTensors::open(source)->config())) {
    BakeOptions options;
    options.alpha = alpha;
    if (!adapter.empty()) options.adapter = tiny_folder(adapter);
    report = bake_lock(source, lock, path(), options);
  }

  std::string path() const { return temporary_.path("baked"); }
  std::string file(const std::string& name) const { return join_path(path(), name); }
  EditableShard biases() const { return EditableShard(file("model-00002-of-00002.safetensors")); }

  /// The bias of a layer, float32 or bfloat16, through `change`.
  void change_bias(std::int64_t layer, const std::function<float(float)>& change) const {
    EditableShard shard = biases();
    SafetensorsEntry& t = shard.at(o_bias_name(layer));
    const bool wide = t.dtype == "F32";
    const size_t size = wide ? 4 : 2;
    for (size_t at = 0; at < t.bytes.size(); at += size) {
      std::uint32_t bits = 0;
      std::memcpy(reinterpret_cast<char*>(&bits) + (4 - size), t.bytes.data() + at, size);
      bits = std::bit_cast<std::uint32_t>(change(std::bit_cast<float>(bits)));
      std::memcpy(t.bytes.data() + at, reinterpret_cast<char*>(&bits) + (4 - size), size);
    }
    shard.write();
  }

  void change_config(const std::function<void(Json&)>& change) const {
    JsonTree config = parse_json(read_all(file("config.json")), "config.json");
    change(*config);
    std::ofstream(file("config.json")) << config->dump();
  }

  std::string source;
  SafetyLock lock;
  BakeReport report;

 private:
  TemporaryFolder temporary_;
};

/// A copy of a tiny model with a lock's vectors in o_proj.bias, under the class that it had.
class WithLooseBiases {
 public:
  WithLooseBiases(const std::string& model, bool announced, bool with_biases = true)
      : lock(lock_for(ModelTensors::open(tiny_folder(model))->config())) {
    const auto source = ModelTensors::open(tiny_folder(model));
    std::filesystem::copy(tiny_folder(model), path());
    EditableShard shard(join_path(path(), "model.safetensors"));
    for (const std::int64_t layer : lock.layers()) {
      std::vector<double> bias = lock_bias(*source, lock, layer, nullptr);
      for (double& value : bias) value *= lock.default_strength().alpha();
      if (with_biases)
        shard.tensors.push_back({o_bias_name(layer), "F32", {bias.size()}, stored_bytes("F32", bias, "")});
    }
    shard.write();
    JsonTree config = parse_json(read_all(join_path(path(), "config.json")), "config.json");
    if (announced) (*config)["attention_bias"] = true;
    std::ofstream(join_path(path(), "config.json")) << config->dump();
  }

  std::string path() const { return temporary_.path("loose"); }

  SafetyLock lock;

 private:
  TemporaryFolder temporary_;
};

}  // namespace safetylock::test
