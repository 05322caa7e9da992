#include "safetylock/causal_lm.h"

#include <cmath>

#include "model/adapted_checkpoint.h"
#include "model/causal_lm_impl.h"
#include "model/device_dtype.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// The template, if the model has one.
std::optional<ChatTemplate> find_chat_template(const std::string& path) {
  try {
    return ChatTemplate::from_pretrained(path);
  } catch (const Error& error) {
    if (error.code() == "template.missing") return std::nullopt;
    throw;
  }
}

void check_sequences(const std::vector<std::vector<TokenId>>& sequences, const ModelConfig& config) {
  const auto refuse = [](size_t index, std::string expected, std::string found) {
    throw Error({.code = "arg.range",
                 .where = "sequence " + std::to_string(index),
                 .expected = std::move(expected),
                 .found = std::move(found)});
  };
  if (sequences.empty()) refuse(0, "at least one sequence", "none");
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto length = static_cast<std::int64_t>(sequences[i].size());
    if (length < 1 || length > config.max_position_embeddings) {
      refuse(i, "1 to " + std::to_string(config.max_position_embeddings) + " tokens", std::to_string(length));
    }
    for (const TokenId id : sequences[i]) {
      if (id < 0 || id >= config.vocab_size) {
        refuse(i, "token ids in [0, " + std::to_string(config.vocab_size) + ")", std::to_string(id));
      }
    }
  }
}

PackedBatch pack(const std::vector<std::vector<TokenId>>& sequences) {
  BatchBuilder builder;
  for (size_t i = 0; i < sequences.size(); ++i) builder.add(sequences[i], 0, static_cast<std::int64_t>(i));
  return builder.build();
}

at::Tensor last_rows(const PackedBatch& batch, at::Device device) {
  std::vector<std::int64_t> rows;
  for (const Segment& segment : batch.segments) rows.push_back(segment.begin + segment.length - 1);
  return at::tensor(rows, at::kLong).to(device);
}

}  // namespace

std::unique_ptr<CausalLM::Impl> load_decoder(std::unique_ptr<const Checkpoint> checkpoint,
                                             const LoadOptions& options) {
  const at::Device device = parse_device(options.device);
  const at::ScalarType dtype = parse_dtype(options.dtype, device);
  if (!options.adapter.empty()) {
    checkpoint = std::make_unique<AdaptedCheckpoint>(std::move(checkpoint), load_lora(options.adapter));
  }
  return translating_torch_errors([&] {
    Weights weights = load_weights(*checkpoint, device, dtype, options.on_progress);
    return std::make_unique<CausalLM::Impl>(Decoder(checkpoint->config(), std::move(weights)),
                                            std::move(checkpoint));
  });
}

const std::string& CausalLM::Impl::weights_digest() const {
  std::call_once(digest_once_, [this] { digest_ = checkpoint->weights_digest(); });
  return digest_;
}

void check_finite(const at::Tensor& values, const std::string& where) {
  if (std::isfinite(values.sum(at::kFloat).item<double>())) return;
  const std::int64_t bad = at::isfinite(values).logical_not_().sum().item<std::int64_t>();
  if (bad == 0) return;
  throw Error({.code = "num.nonfinite",
               .where = where,
               .expected = "finite numbers",
               .found = std::to_string(bad) + " of " + std::to_string(values.numel()) + " NaN or infinite",
               .hint = "The weights may be damaged, or the strength or dtype out of range for this model"});
}

CausalLM CausalLM::from_pretrained(const std::string& path, const LoadOptions& options) {
  Tokenizer tokenizer = Tokenizer::from_pretrained(path);
  std::optional<ChatTemplate> chat_template = find_chat_template(path);
  std::unique_ptr<Impl> impl = load_decoder(Checkpoint::open(path), options);
  impl->tokenizer = std::move(tokenizer);
  impl->chat_template = std::move(chat_template);
  return CausalLM(std::move(impl));
}

CausalLM::CausalLM(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CausalLM::~CausalLM() = default;
CausalLM::CausalLM(CausalLM&&) noexcept = default;
CausalLM& CausalLM::operator=(CausalLM&&) noexcept = default;

const ModelConfig& CausalLM::config() const noexcept {
  return impl_->decoder.config;
}
const Tokenizer& CausalLM::tokenizer() const noexcept {
  return *impl_->tokenizer;
}
bool CausalLM::has_chat_template() const noexcept {
  return impl_->chat_template.has_value();
}
const std::string& CausalLM::path() const noexcept {
  return impl_->checkpoint->path();
}
at::Device CausalLM::device() const noexcept {
  return impl_->decoder.weights.embedding.device();
}
at::ScalarType CausalLM::dtype() const noexcept {
  return impl_->decoder.weights.embedding.scalar_type();
}
std::int64_t CausalLM::weight_bytes() const noexcept {
  return impl_->decoder.weights.bytes();
}

const ChatTemplate& CausalLM::chat_template() const {
  if (!impl_->chat_template) {
    throw Error({.code = "template.missing",
                 .file = path(),
                 .expected = "a model with a chat template",
                 .found = "none",
                 .hint = "Chat models carry one; this may be a base model"});
  }
  return *impl_->chat_template;
}

at::Tensor CausalLM::o_proj_weight(std::int64_t layer) const {
  if (layer < 0 || layer >= config().num_hidden_layers) {
    throw Error({.code = "arg.range",
                 .where = "layer",
                 .expected = "[0, " + std::to_string(config().num_hidden_layers) + ")",
                 .found = std::to_string(layer)});
  }
  return impl_->decoder.weights.layers[static_cast<size_t>(layer)].o_proj;
}

at::Tensor CausalLM::logits(const std::vector<std::vector<TokenId>>& sequences, LogitsOf which,
                            const Interventions* interventions) const {
  const Decoder& decoder = impl_->decoder;
  check_sequences(sequences, decoder.config);
  const std::shared_ptr<const Interventions> defaults = default_interventions();
  if (interventions == nullptr) interventions = defaults.get();
  if (interventions != nullptr) {
    check_interventions(*interventions, config().num_hidden_layers, config().hidden_size, device());
  }
  return translating_torch_errors([&] {
    const PackedBatch batch = pack(sequences);
    const auto num_sequences = static_cast<std::int64_t>(sequences.size());
    // Made outside inference mode, so that callers may change it in place.
    at::Tensor out =
        at::empty({which == LogitsOf::all_tokens ? batch.rows() : num_sequences, config().vocab_size},
                  decoder.options().dtype(at::kFloat));
    const c10::InferenceMode inference;
    const Steering steering =
        interventions ? Steering(*interventions, batch.requests, num_sequences, dtype()) : Steering();
    at::Tensor hidden = DecoderPass(decoder, batch, steering, impl_->registry->snapshot()).run();
    if (which == LogitsOf::last_token) hidden = hidden.index_select(0, last_rows(batch, device()));
    logits_into(decoder, hidden, out);
    check_finite(out, "logits");
    return out;
  });
}

HookHandle CausalLM::add_hook(HookPoint point, std::vector<std::int64_t> layers,
                              HookFunction function) const {
  for (const std::int64_t layer : layers) {
    if (layer < 0 || layer >= config().num_hidden_layers) {
      throw Error({.code = "arg.range",
                   .where = "layers",
                   .expected = "[0, " + std::to_string(config().num_hidden_layers) + ")",
                   .found = std::to_string(layer)});
    }
  }
  if (!function)
    throw Error({.code = "arg.hook", .where = "function", .expected = "a callable", .found = "none"});
  return impl_->registry->add(
      {.point = point, .layers = {layers.begin(), layers.end()}, .function = std::move(function)});
}

std::shared_ptr<const Interventions> CausalLM::default_interventions() const {
  return impl_->registry->interventions();
}

HookHandle CausalLM::set_default_interventions(std::shared_ptr<const Interventions> interventions) const {
  if (interventions == nullptr || interventions->strengths.size() != 1) {
    throw Error(
        {.code = "arg.shape", .where = "interventions", .expected = "interventions with one strength"});
  }
  check_interventions(*interventions, config().num_hidden_layers, config().hidden_size, device());
  return impl_->registry->set_interventions(std::move(interventions));
}

}  // namespace safetylock
