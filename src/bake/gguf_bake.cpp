#include <algorithm>
#include <map>

#include "bake/bake_job.h"
#include "bake/bake_record.h"
#include "bake/engine_table.h"
#include "bake/gguf_layout.h"
#include "bake/output_stage.h"
#include "bake/stored_values.h"
#include "base/file.h"
#include "formats/gguf.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kCopyBytes = std::uint64_t{8} << 20;

class GgufBake {
 public:
  explicit GgufBake(BakeJob& job)
      : job_(job), file_(job.model), arch_(file_.architecture()), printable_(file_.path()) {
    refuse_baked(job.model);
    refuse();
    checkpoint_ = Checkpoint::open(job.model);
    job.lock.check_fits(as_lock_names_it(checkpoint_->config(), job.lock));
    adapter_ = job.load_adapter(*checkpoint_);
    job.report.output = job.output;
    job.report.architecture = "llama";
    job.report.base_architecture = arch_;
    job.report.engines = engines_for_gguf();
    job.report.sharing = "copy";
  }

  void run() {
    if (!job_.output.ends_with(".gguf")) {
      throw Error({"arg.output", escape_untrusted(job_.output, 1000), "output",
                   "the name of a file that ends in .gguf, as the model is one",
                   "\"" + escape_untrusted(job_.output) + "\"", ""});
    }
    OutputStage stage(job_.output, OutputStage::Kind::file);
    const std::string name = base_name(job_.output);
    const std::string stem = name.substr(0, name.size() - std::string(".gguf").size());
    compute_biases();
    layout_ = gguf::layout_of(file_);
    change_layout();
    job_.to_copy = input().size();
    StagedFile out(stage.path(name), stage.label(name));
    write(out);
    stage.count_written(out.size());
    add_notes();
    std::vector<std::string> beside = {stem + ".README.md"};
    stage.write(beside.front(), job_.card(""));
    if (job_.options.make_probes) {
      beside.push_back(stem + ".verify.json");
      stage.write(beside.back(), job_.options.make_probes());
    }
    stage.commit_file(beside);
    job_.report.bytes_written = stage.bytes_written();
  }

 private:
  [[noreturn]] void refuse(const std::string& where, const std::string& expected, const std::string& found,
                           const std::string& hint) const {
    throw Error({"bind.bake", printable_, where, expected, found, hint});
  }

  void refuse() const {
    if (file_.parts() > 1) {
      refuse("split.count", "one file", std::to_string(file_.parts()) + " parts",
             "Merge them first (llama-gguf-split --merge) and bake the result");
    }
    if (arch_ == "llama" || arch_ == "qwen2") return;
    refuse("general.architecture", "llama, or qwen2, which is re-written as llama",
           "\"" + escape_untrusted(arch_) + "\"",
           "llama.cpp loads attn_output.bias for arch llama alone and refuses it elsewhere. Bake the Hugging "
           "Face folder for transformers or vLLM, or serve the lock with safetylock itself");
  }

  void compute_biases() {
    const auto tensors = ModelTensors::open(job_.model);
    const std::vector<std::vector<double>> biases = job_.biases(*tensors, adapter_ ? &*adapter_ : nullptr);
    for (size_t layer = 0; layer < biases.size(); ++layer) {
      const std::string name = "blk." + std::to_string(layer) + ".attn_output.bias";
      const GgufTensor* existing = file_.find_tensor(name);
      const std::string storage =
          existing == nullptr ? "F32" : ggml_traits(static_cast<std::uint32_t>(existing->type))->name;
      if (!can_store(storage)) refuse(name, "a bias in F32, F16 or BF16", storage, "Convert the model again");
      biases_[name] = stored_bytes(storage, biases[layer], name);
      if (existing == nullptr) added_.push_back({name, {biases[layer].size()}, 0, 0});
    }
  }

  /// Renames the architecture, records the lock, and appends the new tensors to the table.
  void change_layout() {
    const std::string prefix = arch_ + ".";
    for (gguf::RawEntry& entry : layout_.metadata) {
      if (entry.key == "general.architecture") entry.value = gguf::string_value("llama");
      if (entry.key.starts_with(prefix)) entry.key = "llama." + entry.key.substr(prefix.size());
    }
    layout_.metadata.push_back({kDigestKey, gguf::string_value(job_.lock.content_digest())});
    layout_.metadata.push_back({kAlphaKey, gguf::number_value(job_.alpha)});
    layout_.metadata.push_back({kBaseArchitectureKey, gguf::string_value(arch_)});
    layout_.metadata.push_back({kWithAdapterKey, gguf::boolean_value(adapter_.has_value())});
    source_ = layout_.tensors;
    std::sort(source_.begin(), source_.end(),
              [](const auto& a, const auto& b) { return a.offset < b.offset; });
    std::uint64_t end = source_.back().offset + bytes_of(source_.back());
    for (gguf::RawTensor& t : added_) {
      t.offset = aligned(end);
      end = t.offset + biases_.at(t.name).size();
      layout_.tensors.push_back(t);
    }
  }

  std::uint64_t aligned(std::uint64_t n) const {
    return (n + file_.alignment() - 1) / file_.alignment() * file_.alignment();
  }
  std::uint64_t bytes_of(const gguf::RawTensor& t) const { return file_.find_tensor(t.name)->bytes; }

  void write(StagedFile& out) const {
    const std::string header = gguf::header_bytes(layout_, file_.alignment());
    out.write(header);
    const auto pad_to = [&](std::uint64_t offset) {
      out.write(std::string(header.size() + offset - out.size(), '\0'));
    };
    for (const gguf::RawTensor& t : source_) {
      pad_to(t.offset);
      const auto bias = biases_.find(t.name);
      if (bias != biases_.end()) {
        out.write(bias->second);
      } else if (arch_ == "qwen2" && (is_part(t.name, ".attn_q.") || is_part(t.name, ".attn_k."))) {
        write_paired(t, out);
      } else {
        write_copy(t, out);
      }
    }
    for (const gguf::RawTensor& t : added_) {
      pad_to(t.offset);
      out.write(biases_.at(t.name));
    }
    pad_to(aligned(out.size() - header.size()));
    input().check_unchanged();
    out.finish();
  }

  static bool is_part(const std::string& name, const char* part) {
    return name.find(part) != std::string::npos;
  }
  const InputFile& input() const { return file_.file_of(file_.tensors().front()); }

  void write_copy(const gguf::RawTensor& t, StagedFile& out) const {
    std::vector<std::byte> piece;
    const std::uint64_t bytes = bytes_of(t);
    for (std::uint64_t done = 0; done < bytes; done += piece.size()) {
      piece.resize(std::min(kCopyBytes, bytes - done));
      job_.count_copied(piece.size());
      input().read_at(file_.data_begin() + t.offset + done, piece);
      out.write(piece);
    }
  }

  /// qwen2 rotates row i of a head with row i + D/2, llama row 2i with row 2i + 1. Rows are whole blocks, so
  /// their order changes without any value changing (convert_hf_to_gguf.py: LlamaModel.permute).
  void write_paired(const gguf::RawTensor& t, StagedFile& out) const {
    const std::uint64_t rows = t.extents.back(), row_bytes = bytes_of(t) / rows;
    const auto head = static_cast<std::uint64_t>(checkpoint_->config().head_dim);
    std::vector<std::byte> from(head * row_bytes), to(head * row_bytes);
    for (std::uint64_t row = 0; row < rows; row += head) {
      input().read_at(file_.data_begin() + t.offset + row * row_bytes, from);
      for (std::uint64_t i = 0; i < head; ++i) {
        const std::uint64_t source = i / 2 + (i % 2) * (head / 2);
        std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(source * row_bytes), row_bytes,
                    to.begin() + static_cast<std::ptrdiff_t>(i * row_bytes));
      }
      out.write(to);
    }
  }

  void add_notes() const {
    std::vector<std::string>& notes = job_.report.notes;
    if (arch_ != "llama") {
      notes.push_back(
          "Re-written as arch llama, which computes the same: rows of q and k in another order, "
          "every value as it was");
    }
    if (adapter_)
      notes.push_back("Locked exactly when served with the adapter it was baked for, and only then");
    notes.push_back("Quantising it further keeps the bias, which has one dimension, in F32");
  }

  BakeJob& job_;
  GgufFile file_;
  std::string arch_, printable_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::optional<LoraAdapter> adapter_;
  gguf::Layout layout_;
  std::vector<gguf::RawTensor> source_, added_;
  std::map<std::string, std::string> biases_;  // name -> bytes, of every layer
};

}  // namespace

void bake_gguf(BakeJob& job) {
  GgufBake(job).run();
}

}  // namespace safetylock
