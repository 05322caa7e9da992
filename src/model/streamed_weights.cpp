#include "model/streamed_weights.h"

#include <algorithm>
#include <array>
#include <future>

#include "formats/checkpoint_tensors.h"
#include "model/kernels/linear.h"
#include "model/load_tensor.h"

namespace safetylock {
namespace {

/// Rows of lm_head in memory at a time.
constexpr std::int64_t kVocabularyRows = 8192;

std::int64_t bytes_of(const std::vector<TensorSpec>& table, at::TensorOptions options, std::int64_t layer) {
  std::int64_t bytes = 0;
  for (const TensorSpec& spec : table) {
    if (layer >= 0 && spec.layer != layer) continue;
    std::int64_t values = 1;
    for (const std::uint64_t extent : spec.shape) values *= static_cast<std::int64_t>(extent);
    bytes += values * static_cast<std::int64_t>(options.dtype().itemsize());
  }
  return bytes;
}

const TensorSpec& find(const std::vector<TensorSpec>& table, TensorRole role, std::int64_t layer = -1) {
  return *std::find_if(table.begin(), table.end(),
                       [&](const TensorSpec& spec) { return spec.role == role && spec.layer == layer; });
}

}  // namespace

/// One thread reads ahead; the pass computes on the others.
class StreamedWeights::Layers final : public LayerReader {
 public:
  explicit Layers(const StreamedWeights& source) : source_(source) { read_ahead(); }
  ~Layers() override {
    stop_ = true;
    if (reading_.valid()) reading_.wait();
  }
  Layers(const Layers&) = delete;
  Layers& operator=(const Layers&) = delete;

  const LayerWeights& next() override {
    reading_.get();
    const LayerWeights& ready = buffers_[static_cast<size_t>(layer_ % 2)];
    ++layer_;
    if (layer_ < source_.checkpoint_->config().num_hidden_layers) read_ahead();
    return ready;
  }

 private:
  void read_ahead() {
    LayerWeights& buffer = buffers_[static_cast<size_t>(layer_ % 2)];
    if (!buffer.qkv.defined()) buffer = empty_layer(source_.checkpoint_->config(), source_.options());
    reading_ = std::async(std::launch::async, [this, &buffer, layer = layer_] { read(layer, buffer); });
  }

  void read(std::int64_t layer, const LayerWeights& to) const {
    const Checkpoint& checkpoint = *source_.checkpoint_;
    for (const TensorSpec& spec : source_.table_) {
      if (spec.layer != layer) continue;
      const std::string digest = load_tensor_in_order(checkpoint, *checkpoint.find(spec.name),
                                                      to.place_of(spec, checkpoint.config()), stop_);
      if (digest.empty()) continue;
      const std::lock_guard lock(source_.mutex_);
      source_.digests_.insert_or_assign(spec.name, digest);
    }
  }

  const StreamedWeights& source_;
  std::array<LayerWeights, 2> buffers_;
  std::int64_t layer_ = 0;  // the next one to be given
  std::atomic<bool> stop_ = false;
  std::future<void> reading_;
};

StreamedWeights::StreamedWeights(std::shared_ptr<const Checkpoint> checkpoint, at::Device device,
                                 at::ScalarType dtype)
    : checkpoint_(std::move(checkpoint)), table_(tensor_table(checkpoint_->config())) {
  check_tensors(checkpoint_->config(), checkpoint_->tensors(), checkpoint_->path());
  final_norm_ =
      at::empty({checkpoint_->config().hidden_size}, at::TensorOptions().device(device).dtype(dtype));
  load_tensor(*checkpoint_, *checkpoint_->find(find(table_, TensorRole::final_norm).name), final_norm_);
}

std::unique_ptr<LayerReader> StreamedWeights::read_layers() const {
  return std::make_unique<Layers>(*this);
}

at::Tensor StreamedWeights::embed(const at::Tensor& ids) const {
  const auto [kinds, places, counts] = at::_unique2(ids, true, true);
  const CheckpointTensor& source = *checkpoint_->find(find(table_, TensorRole::embedding).name);
  const at::Tensor rows =
      at::empty({kinds.size(0), checkpoint_->config().hidden_size}, options().device(at::kCPU));
  for (std::int64_t i = 0; i < kinds.size(0); ++i)
    load_tensor(*checkpoint_, source, rows.narrow(0, i, 1), kinds.const_data_ptr<std::int64_t>()[i]);
  return rows.index_select(0, places).to(options().device());
}

at::Tensor StreamedWeights::to_vocabulary(const at::Tensor& x) const {
  const ModelConfig& c = checkpoint_->config();
  const TensorRole role = c.tie_word_embeddings ? TensorRole::embedding : TensorRole::lm_head;
  const CheckpointTensor& source = *checkpoint_->find(find(table_, role).name);
  const at::Tensor out = at::empty({x.size(0), c.vocab_size}, x.options());
  for (std::int64_t row = 0; row < c.vocab_size; row += kVocabularyRows) {
    const std::int64_t rows = std::min(kVocabularyRows, c.vocab_size - row);
    const at::Tensor part = at::empty({rows, c.hidden_size}, x.options());
    load_tensor(*checkpoint_, source, part, row);
    out.narrow(1, row, rows).copy_(apply_linear(x, part));
  }
  return out;
}

at::Tensor StreamedWeights::o_proj(std::int64_t layer) const {
  const ModelConfig& c = checkpoint_->config();
  at::Tensor weight = empty_weight({c.hidden_size, c.attention_size()}, options());
  load_tensor(*checkpoint_, *checkpoint_->find(find(table_, TensorRole::o_weight, layer).name), weight);
  return weight;
}

std::int64_t StreamedWeights::bytes() const {
  return bytes_of(table_, options(), -1);
}

std::int64_t StreamedWeights::bytes_held() const {
  return 2 * bytes_of(table_, options(), 0);
}

TensorDigests StreamedWeights::digests() const {
  const std::lock_guard lock(mutex_);
  return digests_;
}

}  // namespace safetylock
