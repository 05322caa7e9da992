#include "safetylock/causal_lm.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "formats/model_folder.h"
#include "model/adapted_checkpoint.h"
#include "model/causal_lm_impl.h"
#include "model/device_dtype.h"
#include "model/gate_probe.h"
#include "model/memory_check.h"
#include "model/streamed_weights.h"
#include "model/weights.h"
#include "safetylock/error.h"
#include "text/tokenizer_folder.h"

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

/// Without formatting: libtorch's headers bring a fmt that spdlog's library is not built with.
void note(const std::string& path, const std::string& text) {
  log::write(LogLevel::info, escape_untrusted(path, 1000) + ": " + text);
}

/// An adapter's folder may hold the tokenizer it was trained with: with tokens that were added, or another
/// template.
Tokenizer tokenizer_of(const std::string& path, const std::string& adapter) {
  if (adapter.empty() || !has_tokenizer(adapter)) return Tokenizer::from_pretrained(path);
  note(adapter, "the adapter brings a tokenizer of its own");
  return Tokenizer::from_pretrained(adapter);
}

std::optional<ChatTemplate> chat_template_of(const std::string& path, const std::string& adapter) {
  std::optional<ChatTemplate> own;
  if (!adapter.empty()) own = find_chat_template(adapter);
  if (!own) return find_chat_template(path);
  note(adapter, "the adapter brings a chat template of its own");
  return own;
}

std::unique_ptr<const Checkpoint> merged(std::unique_ptr<const Checkpoint> base, const std::string& adapter) {
  if (adapter.empty()) return base;
  return std::make_unique<AdaptedCheckpoint>(std::move(base), load_lora(adapter));
}

/// An embedding may have rows to spare, but each token needs its own.
void check_vocabulary(const Tokenizer& tokenizer, const Checkpoint& checkpoint) {
  const std::int64_t rows = checkpoint.config().vocab_size;
  if (tokenizer.vocab_size() <= rows) return;
  throw Error({.code = "cfg.vocab",
               .file = checkpoint.path(),
               .where = "tokenizer",
               .expected = "at most " + std::to_string(rows) +
                           " tokens: vocab_size, embedding and lm_head have " + std::to_string(rows) +
                           " rows each",
               .found = std::to_string(tokenizer.vocab_size()) + " tokens",
               .hint = "The tokenizer belongs to another model, or to one whose embedding was resized"});
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

/// What `interventions` add in a pass over `batch`, a segment a prompt: where they have a gate, that is read
/// first.
Steering steering_for(const CausalLM::Impl& model, const PackedBatch& batch, Interventions interventions) {
  const auto requests = static_cast<std::int64_t>(batch.segments.size());
  if (interventions.gate != nullptr && interventions.active()) {
    std::vector<PromptPlaces> places;
    for (const Segment& prompt : batch.segments) places.push_back({.message = {}, .length = prompt.length});
    const GateReader reader(interventions.gate, batch, places, model.decoder.options().device());
    DecoderPass(model.decoder, batch, {}, reader.watching(model.registry->snapshot())).run();
    const std::vector<double> scores = reader.scores();
    std::vector<Strength>& strengths = interventions.strengths;
    if (strengths.size() == 1) strengths.resize(scores.size(), strengths.front());
    for (size_t i = 0; i < std::min(strengths.size(), scores.size()); ++i)
      strengths[i] = Strength(strengths[i].alpha() * read_score(scores[i], interventions.rule).share);
  }
  return {interventions, batch.requests, requests, model.decoder.dtype()};
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
  checkpoint = merged(std::move(checkpoint), options.adapter);
  return translating_torch_errors([&] {
    const std::shared_ptr<const Checkpoint> files = std::move(checkpoint);
    std::shared_ptr<const WeightSource> weights;
    const bool streamed =
        must_stream(tensor_table(files->config()), dtype, options.max_memory, files->path());
    if (streamed) {
      weights = std::make_shared<StreamedWeights>(files, device, dtype);
    } else {
      weights = std::make_shared<HeldWeights>(load_weights(*files, device, dtype, options.on_progress));
    }
    auto impl = std::make_unique<CausalLM::Impl>(Decoder(files->config(), std::move(weights)), files);
    impl->max_memory = options.max_memory;
    impl->streamed = streamed;
    return impl;
  });
}

const std::string& CausalLM::Impl::weights_digest() const {
  std::call_once(digest_once_, [this] { digest_ = checkpoint->weights_digest(decoder.weights->digests()); });
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
  const std::string adapter = options.adapter.empty() ? "" : resolve_model_path(options.adapter);
  Tokenizer tokenizer = tokenizer_of(path, adapter);
  std::optional<ChatTemplate> chat_template = chat_template_of(path, adapter);
  std::unique_ptr<const Checkpoint> checkpoint = merged(Checkpoint::open(path), adapter);
  check_vocabulary(tokenizer, *checkpoint);
  if (options.on_config) options.on_config(checkpoint->config());
  LoadOptions without_adapter = options;
  without_adapter.adapter.clear();
  std::unique_ptr<Impl> impl = load_decoder(std::move(checkpoint), without_adapter);
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
  return impl_->decoder.options().device();
}
at::ScalarType CausalLM::dtype() const noexcept {
  return impl_->decoder.dtype();
}
std::int64_t CausalLM::weight_bytes() const noexcept {
  return impl_->decoder.weights->bytes();
}

bool CausalLM::streamed() const noexcept {
  return impl_->streamed;
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
  return impl_->decoder.weights->o_proj(layer);
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
    const Steering steering = interventions ? steering_for(*impl_, batch, *interventions) : Steering();
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
