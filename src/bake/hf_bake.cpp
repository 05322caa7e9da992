#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>

#include "bake/bake_job.h"
#include "bake/engine_table.h"
#include "bake/hf_documents.h"
#include "bake/hf_target.h"
#include "bake/output_stage.h"
#include "bake/shard_rewrite.h"
#include "bake/stored_values.h"
#include "base/file.h"
#include "base/folder.h"
#include "formats/config_limits.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "formats/shards.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kMaxCardBytes = std::uint64_t{16} << 20;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kSingleRenamed = "model-00001-of-00002.safetensors";
constexpr const char* kBiases = "model-safetylock-bias.safetensors";
constexpr const char* kBiasesOfSingle = "model-00002-of-00002.safetensors";
constexpr const char* kTemplates = "additional_chat_templates";

// Weights in other forms, which would be the unlocked model, and code that comes with a model.
constexpr std::array kLeftOut = {".safetensors", ".bin", ".pt",   ".pth",     ".ckpt", ".gguf",
                                 ".h5",          ".npz", ".onnx", ".msgpack", ".py",   ".index.json"};

bool is_empty_file(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && st.st_size == 0;
}

bool is_copied(const std::string& name) {
  if (name.starts_with('.')) return false;
  return std::none_of(kLeftOut.begin(), kLeftOut.end(),
                      [&](const char* ending) { return name.ends_with(ending); });
}

class FolderBake {
 public:
  explicit FolderBake(BakeJob& job) : job_(job), folder_(job.model) {
    refuse_quantised();
    checkpoint_ = Checkpoint::open(folder_);
    const ModelConfig& c = checkpoint_->config();
    job.lock.check_fits(c);
    refuse_baked(folder_);
    adapter_ = job.load_adapter(*checkpoint_);
    target_ = hf_target(c, folder_, adapter());
    job.report.output = job.output;
    job.report.architecture = target_.architecture;
    job.report.base_architecture = c.architecture;
    job.report.engines = engines_for_class(target_.architecture);
  }

  void run() {
    OutputStage stage(job_.output, OutputStage::Kind::folder);
    stage_ = &stage;
    const auto tensors = ModelTensors::open(folder_);
    files_ = open_weight_files(folder_);
    write_biases(*tensors);
    write_weights();
    write_documents();
    copy_other_files();
    if (adapter_) copy_folder(job_.options.adapter, "adapter");
    add_notes();
    stage.write("README.md", job_.card(existing_card()));
    if (job_.options.make_probes) stage.write("verify.json", job_.options.make_probes());
    stage.commit();
    job_.report.bytes_written = stage.bytes_written();
    job_.report.bytes_shared = stage.bytes_shared();
  }

 private:
  const LoraAdapter* adapter() const { return adapter_ ? &*adapter_ : nullptr; }
  const ModelConfig& config() const { return checkpoint_->config(); }

  void refuse_quantised() const {
    const JsonTree tree = read_model_json(folder_, "config.json", limits::kConfigBytes);
    const JsonObject root(*tree, model_file_label(folder_, "config.json"));
    for (const char* key : {"quantization_config", "compression_config"}) {
      if (!root.has(key)) continue;
      throw Error({"bind.bake", root.file(), root.pointer_to(key), "weights that are not quantised",
                   "a quantised model", "Bake before quantising: quantisers keep biases as they are"});
    }
  }

  std::string storage_of_o(std::int64_t layer) const {
    const CheckpointTensor* bias = checkpoint_->find(o_bias_name(layer));
    return (bias != nullptr ? bias : checkpoint_->find(o_weight_name(layer)))->storage;
  }

  /// The o biases, and zeros for q, k and v where the model has none: an engine that is told of biases and
  /// finds none in the files computes with what was in memory.
  void write_biases(const ModelTensors& tensors) {
    const std::vector<std::vector<double>> biases = job_.biases(tensors, adapter());
    std::vector<SafetensorsEntry> entries;
    const ModelConfig& c = config();
    for (std::int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
      const std::vector<double>& bias = biases[static_cast<size_t>(layer)];
      const std::string name = o_bias_name(layer), storage = storage_of_o(layer);
      std::string bytes = stored_bytes(storage, bias, name);
      if (checkpoint_->find(name) != nullptr) {
        if (job_.lock_holds(layer)) changes_.values.emplace(name, std::move(bytes));
      } else {
        entries.push_back({name, storage, {bias.size()}, std::move(bytes)});
      }
      if (c.attention_bias) continue;
      for (const char projection : {'q', 'k', 'v'}) {
        const std::vector<double> zeros(
            static_cast<size_t>(projection == 'q' ? c.attention_size() : c.kv_size()));
        const std::string zero_name = projection_bias_name(layer, projection);
        entries.push_back({zero_name, storage, {zeros.size()}, stored_bytes(storage, zeros, zero_name)});
      }
    }
    if (entries.empty()) return;
    const bool single = files_.size() == 1 && base_name(files_.front().path()) == kSingle;
    const char* file = single ? kBiasesOfSingle : kBiases;
    if (has_model_file(folder_, file) && !single) {
      throw Error({"bind.bake", escape_untrusted(folder_, 1000), file, "no such file", "one",
                   "Is the model baked already?"});
    }
    for (const SafetensorsEntry& e : entries) {
      places_[e.name] = file;
      total_size_ += e.bytes.size();
    }
    stage_->write(file, safetensors_to_bytes(entries, {{"format", "pt"}}));
  }

  void write_weights() {
    const bool has_biases = !places_.empty();
    if (target_.split) changes_.split = split_of_fused(config());
    const auto on_bytes = [this](std::uint64_t bytes) { job_.count_copied(bytes); };
    for (const SafetensorsFile& file : files_) job_.to_copy += file.input()->size();
    for (const SafetensorsFile& file : files_) {
      const std::string name = base_name(file.path());
      const std::string new_name = has_biases && name == kSingle ? kSingleRenamed : name;
      const std::vector<SafetensorsTensor> written = rewritten_tensors(file, changes_);
      for (const SafetensorsTensor& t : written) {
        places_[t.name] = new_name;
        total_size_ += t.bytes;
      }
      if (is_changed(file, changes_)) {
        StagedFile out(stage_->path(new_name), stage_->label(new_name));
        rewrite_shard(file, changes_, out, on_bytes);
        stage_->count_written(out.size());
        job_.report.sharing = "copy";
      } else {
        job_.report.sharing =
            stage_->share(*file.input(), join_path(folder_, name), new_name, job_.options.copy, on_bytes);
      }
    }
    const bool needs_index = files_.size() > 1 || has_biases || base_name(files_.front().path()) != kSingle;
    if (needs_index) stage_->write("model.safetensors.index.json", index_text(places_, total_size_));
  }

  void write_documents() {
    const BakeRecord record{job_.lock.content_digest(), job_.alpha, config().architecture,
                            adapter_.has_value()};
    stage_->write("config.json", baked_config(folder_, config(), target_, record));
    if (!target_.tokenizer_class.empty())
      stage_->write("tokenizer_config.json", pinned_tokenizer_config(folder_, target_.tokenizer_class));
  }

  void copy_other_files() {
    for (const std::string& name : names_in(folder_)) {
      const bool written = name == "config.json" || name == "README.md" || name == "verify.json" ||
                           (name == "tokenizer_config.json" && !target_.tokenizer_class.empty());
      if (written || !is_copied(name) || !is_regular_file(join_path(folder_, name))) continue;
      copy_file(folder_, name, name);
    }
    if (is_directory(join_path(folder_, kTemplates))) copy_folder(join_path(folder_, kTemplates), kTemplates);
  }

  void copy_folder(const std::string& from, const std::string& to) {
    stage_->make_folder(to);
    for (const std::string& name : names_in(from)) {
      if (!name.starts_with('.') && is_regular_file(join_path(from, name)))
        copy_file(from, name, join_path(to, name));
    }
  }

  // A file without bytes cannot be opened as input, and has nothing to copy.
  void copy_file(const std::string& folder, const std::string& name, const std::string& new_name) {
    if (is_empty_file(join_path(folder, name))) return stage_->write(new_name, "");
    stage_->copy(open_model_file(folder, name), new_name, {});
  }

  std::string existing_card() const {
    if (!is_regular_file(join_path(folder_, "README.md")) || is_empty_file(join_path(folder_, "README.md")))
      return "";
    return read_model_file(folder_, "README.md", kMaxCardBytes);
  }

  void add_notes() {
    std::vector<std::string>& notes = job_.report.notes;
    if (target_.renamed) {
      notes.push_back("Saved as " + target_.architecture + ", which computes the same: " +
                      config().architecture + " has no o_proj bias, and engines drop one without a word");
    }
    if (adapter_) {
      notes.push_back("Locked exactly when served with the adapter in the folder \"adapter\", and only then");
    } else {
      notes.push_back(
          "An adapter served on top keeps the lock exact only if it leaves o_proj alone: check it "
          "with verify --adapter");
    }
    if (job_.report.sharing == "hard link") {
      notes.push_back(
          "Its weights are the source's files under second names (hard links): who writes into "
          "one of them in place changes both; bake --copy gives files of its own");
    }
  }

  BakeJob& job_;
  const std::string& folder_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::optional<LoraAdapter> adapter_;
  HfTarget target_;
  OutputStage* stage_ = nullptr;
  std::vector<SafetensorsFile> files_;
  ShardChanges changes_;
  std::map<std::string, std::string> places_;  // tensor -> file
  std::uint64_t total_size_ = 0;
};

}  // namespace

void bake_folder(BakeJob& job) {
  FolderBake(job).run();
}

}  // namespace safetylock
