#include "engine/token_generator.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/sampling.h"
#include "model/kernels/scratch.h"

namespace safetylock {

TokenGenerator::TokenGenerator(const CausalLM::Impl& model, std::map<std::int64_t, at::Tensor> biases,
                               std::vector<TokenRequest> requests, TokenGeneratorOptions options)
    : model_(model),
      hooks_(model.registry->snapshot()),
      biases_(std::move(biases)),
      requests_(std::move(requests)),
      options_(std::move(options)),
      results_(requests_.size()),
      cache_(model.decoder.config, std::min(options_.batch_size, static_cast<std::int64_t>(requests_.size())),
             model.decoder.options()) {}

std::vector<TokenResult> TokenGenerator::run() {
  const c10::InferenceMode inference;
  const ScratchScope scratch;
  while (finished_ < requests_.size()) {
    report_progress();
    const bool free_slot = static_cast<std::int64_t>(active_.size()) < cache_.slots();
    if (free_slot && admitted_ < requests_.size()) {
      admit();
    } else if (can_use_buffers()) {
      decode_over_buffers();
    } else {
      decode_step();
    }
    retire_finished();
  }
  report_progress();
  step_.reset();
  return std::move(results_);
}

/// Fills the free slots and runs their prompts.
void TokenGenerator::admit() {
  const size_t first = active_.size();
  BatchBuilder builder;
  std::int64_t longest = 0;
  while (static_cast<std::int64_t>(active_.size()) < cache_.slots() && admitted_ < requests_.size()) {
    const auto slot = static_cast<std::int64_t>(active_.size());
    const std::vector<TokenId>& prompt = requests_[admitted_].prompt_ids;
    builder.add(prompt, 0, slot, {}, slot);
    longest = std::max(longest, static_cast<std::int64_t>(prompt.size()));
    const TokenRequest& request = requests_[admitted_];
    active_.push_back(
        {.request = admitted_++, .next = 0, .strength = request.gated ? Strength() : request.strength});
  }
  // Buffers that grow would have to be recorded again.
  cache_.reserve(longest + (can_use_buffers() ? options_.max_new_tokens : 1));
  continue_after(read_prompts(builder.build(), first), first);
  membership_changed_ = true;
}

at::Tensor TokenGenerator::read_prompts(const PackedBatch& batch, size_t first) {
  std::vector<size_t> all, opened;
  std::vector<PromptPlaces> places;
  bool gated = false;
  for (size_t s = first; s < active_.size(); ++s) {
    const TokenRequest& request = requests_[active_[s].request];
    all.push_back(s);
    places.push_back(request.places);
    gated = gated || request.gated;
  }
  const Steering steering = steering_for(batch, all);
  if (!gated) return last_hidden(batch, steering, hooks_);

  const GateReader reader(options_.gate, batch, places, model_.decoder.options().device());
  at::Tensor hidden = last_hidden(batch, steering, reader.watching(hooks_));
  const std::vector<double> scores = reader.scores();
  BatchBuilder again;
  std::vector<std::int64_t> rows;
  for (const size_t s : all) {
    const TokenRequest& request = requests_[active_[s].request];
    if (!request.gated) continue;
    const GateReading reading = read_score(scores[s - first], options_.rule);
    results_[active_[s].request].gate = reading;
    active_[s].strength = Strength(request.strength.alpha() * reading.share);
    if (active_[s].strength.is_zero()) {
      active_[s].watched = options_.reply_gate != nullptr;
      continue;
    }
    // From its first token on, as if it had been locked all along.
    const auto slot = static_cast<std::int64_t>(s);
    cache_.clear(slot);
    again.add(request.prompt_ids, 0, slot, {}, slot);
    opened.push_back(s);
    rows.push_back(static_cast<std::int64_t>(s - first));
  }
  if (opened.empty()) return hidden;
  const PackedBatch locked = again.build();
  return hidden.index_copy_(0, at::tensor(rows, at::kLong).to(hidden.device()),
                            last_hidden(locked, steering_for(locked, opened), hooks_));
}

void TokenGenerator::Step::advance(const std::vector<Active>& active) {
  auto* const ids = batch.ids.mutable_data_ptr<std::int64_t>();
  auto* const positions = batch.positions.mutable_data_ptr<std::int64_t>();
  for (size_t s = 0; s < active.size(); ++s) {
    ids[s] = active[s].next;
    ++positions[s];
  }
  pass.advance();
}

/// True while the same requests go on, each by the token that was chosen last, and the cache has room for it.
bool TokenGenerator::goes_on_as_before() const {
  if (step_ == nullptr || membership_changed_) return false;
  for (std::int64_t slot = 0; slot < static_cast<std::int64_t>(active_.size()); ++slot)
    if (cache_.length(slot) == cache_.capacity()) return false;
  return true;
}

void TokenGenerator::decode_step() {
  if (goes_on_as_before()) {
    step_->advance(active_);
    return continue_after(step_->pass.run(), 0);
  }
  step_.reset();
  BatchBuilder builder;
  std::int64_t longest = 0;
  bool one_row_each = true;
  for (size_t s = 0; s < active_.size(); ++s) {
    const auto slot = static_cast<std::int64_t>(s);
    longest = std::max(longest, cache_.length(slot) + 1);
    if (active_[s].begin_anew || outgrows_its_keys(slot)) {
      one_row_each = false;
      active_[s].begin_anew = false;
      cache_.clear(slot);
      builder.add(tokens_of(active_[s].request), 0, slot, {}, slot);
    } else {
      builder.add({active_[s].next}, cache_.length(slot), slot, {}, slot);
    }
  }
  cache_.reserve(longest);
  const PackedBatch batch = builder.build();
  if (membership_changed_ || !one_row_each) {
    std::vector<size_t> all(active_.size());
    std::iota(all.begin(), all.end(), size_t{0});
    decode_steering_ = steering_for(batch, all);
  }
  membership_changed_ = !one_row_each;
  const bool can_go_on = one_row_each && !watches_replies() && model_.decoder.options().device().is_cpu() &&
                         model_.decoder.config.rope_scaling.type != RopeScaling::Type::longrope;
  if (can_go_on) {
    step_ = std::make_unique<Step>(model_.decoder, batch, decode_steering_, hooks_, cache_);
    return continue_after(step_->pass.run(), 0);
  }
  if (!watches_replies()) return continue_after(last_hidden(batch, decode_steering_, hooks_), 0);
  const GateReader reader(options_.reply_gate, batch, watched_places(batch),
                          model_.decoder.options().device());
  continue_after(last_hidden(batch, decode_steering_, reader.watching(hooks_)), 0);
  const std::vector<double> scores = reader.scores();
  for (size_t s = 0; s < active_.size(); ++s)
    if (active_[s].watched) judge_reply(active_[s], scores[s]);
}

bool TokenGenerator::watches_replies() const {
  return std::any_of(active_.begin(), active_.end(), [](const Active& active) { return active.watched; });
}

/// The token of each watched reply that `batch` holds, a segment a slot.
std::vector<PromptPlaces> TokenGenerator::watched_places(const PackedBatch& batch) const {
  std::vector<PromptPlaces> places(active_.size());
  for (size_t s = 0; s < active_.size(); ++s) {
    const std::int64_t rows = batch.segments[s].length;
    if (active_[s].watched) places[s].reply = {rows - 1, rows};
  }
  return places;
}

/// What counts is the mean over the tokens so far. A score that opens the gate gives the whole strength at
/// once, a part of it when the last token has been read.
void TokenGenerator::judge_reply(Active& active, double score) {
  active.scores += score;
  ++active.read;
  TokenResult& result = results_[active.request];
  const GateReading reading =
      read_score(active.scores / static_cast<double>(active.read), options_.reply_rule);
  GateReading& known = result.gate.value();
  known.reply_score =
      reading.readable ? std::max(known.reply_score.value_or(reading.score), reading.score) : reading.score;
  known.share = std::max(known.share, reading.share);
  known.readable = known.readable && reading.readable;
  if (known.share < 1 && active.read < kReplyGateTokens && result.finish_reason.empty()) return;
  if (!known.opened()) return release(active);
  active.watched = false;
  active.begin_anew = true;
  active.strength = Strength(requests_[active.request].strength.alpha() * known.share);
  known.reply_tokens = active.read;
  result.token_ids.clear();
  result.logprobs.clear();
  result.finish_reason.clear();
  membership_changed_ = true;
}

/// Shows what was held back; a stop string in it ends the reply there.
void TokenGenerator::release(Active& active) {
  active.watched = false;
  TokenResult& result = results_[active.request];
  const std::vector<TokenId> held = std::exchange(result.token_ids, {});
  for (const TokenId token : held) {
    result.token_ids.push_back(token);
    if (!options_.on_token || options_.on_token(active.request, token)) continue;
    result.finish_reason = "stop";
    if (options_.logprobs > 0) result.logprobs.resize(result.token_ids.size());
    break;
  }
  if (options_.on_end && !result.finish_reason.empty()) options_.on_end(active.request);
}

bool TokenGenerator::can_use_buffers() const {
#if defined(SAFETYLOCK_CUDA_KERNELS)
  const bool wanted = options_.fixed_buffers || model_.decoder.options().device().is_cuda();
#else
  const bool wanted = options_.fixed_buffers;
#endif
  return wanted && hooks_.empty() && !model_.streamed &&
         std::none_of(active_.begin(), active_.end(),
                      [](const Active& active) { return active.watched || active.begin_anew; }) &&
         model_.decoder.config.rope_scaling.type != RopeScaling::Type::longrope;
}

void TokenGenerator::decode_over_buffers() {
  std::vector<FixedDecodeStep::Row> rows;
  std::int64_t longest = 0, batch = 1;
  for (size_t s = 0; s < active_.size(); ++s) {
    const std::int64_t length = cache_.length(static_cast<std::int64_t>(s));
    longest = std::max(longest, length + 1);
    rows.push_back({.token = active_[s].next,
                    .position = length,
                    .strength = static_cast<float>(active_[s].strength.alpha())});
  }
  cache_.reserve(longest);
  while (batch < static_cast<std::int64_t>(rows.size())) batch *= 2;
  batch = std::min(batch, cache_.slots());
  std::unique_ptr<FixedDecodeStep>& step = fixed_steps_[batch];
  if (step == nullptr || step->capacity() != cache_.capacity())
    step = std::make_unique<FixedDecodeStep>(model_.decoder, cache_, biases_, batch);
  const at::Tensor& logits = step->run(rows);
  for (size_t s = 0; s < active_.size(); ++s) cache_.advance(static_cast<std::int64_t>(s), 1);
  continue_with(logits.narrow(0, 0, static_cast<std::int64_t>(rows.size())), 0);
}

/// A longrope model rotates a sequence beyond its original context in another way, earlier tokens included:
/// their keys are made anew (HF: Phi3ForCausalLM.prepare_inputs_for_generation).
bool TokenGenerator::outgrows_its_keys(std::int64_t slot) const {
  const RopeScaling& scaling = model_.decoder.config.rope_scaling;
  return scaling.type == RopeScaling::Type::longrope &&
         cache_.length(slot) == scaling.original_max_position_embeddings;
}

std::vector<TokenId> TokenGenerator::tokens_of(size_t request) const {
  std::vector<TokenId> tokens = requests_[request].prompt_ids;
  const std::vector<TokenId>& reply = results_[request].token_ids;
  tokens.insert(tokens.end(), reply.begin(), reply.end());
  return tokens;
}

at::Tensor TokenGenerator::last_hidden(const PackedBatch& batch, const Steering& steering,
                                       const HookSnapshot& hooks) {
  at::Tensor hidden = DecoderPass(model_.decoder, batch, steering, hooks, &cache_).run();
  if (batch.rows() == static_cast<std::int64_t>(batch.segments.size())) return hidden;
  std::vector<std::int64_t> last;
  for (const Segment& segment : batch.segments) last.push_back(segment.begin + segment.length - 1);
  return hidden.index_select(0, at::tensor(last, at::kLong).to(hidden.device()));
}

void TokenGenerator::continue_after(const at::Tensor& hidden, size_t first) {
  const at::Tensor logits =
      scratch({hidden.size(0), model_.decoder.config.vocab_size}, hidden.options().dtype(at::kFloat));
  logits_into(model_.decoder, hidden, logits);
  continue_with(logits, first);
}

void TokenGenerator::continue_with(const at::Tensor& logits, size_t first) {
  check_logits(logits, first);
  if (options_.logprobs > 0) add_logprobs(logits, first);
  if (options_.on_first_logits) show_first_logits(logits, first);
  choose(logits, first);
  for (size_t i = 0; i < chosen_.size(); ++i) record(active_[first + i], chosen_[i]);
}

void TokenGenerator::choose(const at::Tensor& logits, size_t first) {
  chosen_.resize(peaks_.size());
  std::vector<std::int64_t> sampled;
  for (size_t i = 0; i < chosen_.size(); ++i) {
    chosen_[i] = static_cast<TokenId>(peaks_[i].index);
    if (!is_greedy(requests_[active_[first + i].request].sampling))
      sampled.push_back(static_cast<std::int64_t>(i));
  }
  if (!sampled.empty()) sample(logits, first, sampled);
}

void TokenGenerator::sample(const at::Tensor& logits, size_t first, const std::vector<std::int64_t>& rows) {
  at::Tensor host = logits;
  if (rows.size() < chosen_.size())
    host = host.index_select(0, at::tensor(rows, at::kLong).to(host.device()));
  host = host.cpu();
  const auto vocabulary = static_cast<size_t>(host.size(1));
  at::parallel_for(0, static_cast<std::int64_t>(rows.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    Sampler sampler;
    for (std::int64_t r = begin; r < end; ++r) {
      const auto row = static_cast<size_t>(rows[static_cast<size_t>(r)]);
      const size_t index = active_[first + row].request;
      const TokenRequest& request = requests_[index];
      const std::vector<TokenId>& reply = results_[index].token_ids;
      const std::span<const float> scores(host.const_data_ptr<float>() + static_cast<size_t>(r) * vocabulary,
                                          vocabulary);
      chosen_[row] = sampler.choose(scores, {.prompt = request.prompt_ids, .reply = reply}, request.sampling,
                                    uniform_draw(request.sampling.seed, request.draws, reply.size()));
    }
  });
}

/// Finds the largest ones on the way.
void TokenGenerator::check_logits(const at::Tensor& logits, size_t first) {
  row_peaks(logits, peaks_);
  for (size_t i = 0; i < peaks_.size(); ++i) {
    if (peaks_[i].finite) continue;
    const size_t request = active_[first + i].request;
    check_finite(logits[static_cast<std::int64_t>(i)],
                 "logits of prompt " + std::to_string(request) + ", token " +
                     std::to_string(results_[request].token_ids.size()));
  }
}

void TokenGenerator::show_first_logits(const at::Tensor& logits, size_t first) const {
  for (std::int64_t i = 0; i < logits.size(0); ++i) {
    const size_t request = active_[first + static_cast<size_t>(i)].request;
    if (results_[request].token_ids.empty()) options_.on_first_logits(request, logits[i]);
  }
}

void TokenGenerator::record(Active& active, TokenId token) {
  TokenResult& result = results_[active.request];
  active.next = token;
  if (options_.stop_ids.contains(token)) {
    result.finish_reason = "stop";
  } else {
    result.token_ids.push_back(token);
    if (!active.watched && options_.on_token && !options_.on_token(active.request, token)) {
      result.finish_reason = "stop";
    } else if (static_cast<std::int64_t>(result.token_ids.size()) == options_.max_new_tokens) {
      result.finish_reason = "length";
    }
  }
  if (!active.watched && options_.on_end && !result.finish_reason.empty()) options_.on_end(active.request);
}

void TokenGenerator::add_logprobs(const at::Tensor& logits, size_t first) {
  const auto [values, ids] = at::topk(at::log_softmax(logits, 1), options_.logprobs, 1);
  const at::Tensor host_values = values.cpu(), host_ids = ids.cpu();
  for (std::int64_t i = 0; i < logits.size(0); ++i) {
    std::vector<TokenLogprob> step;
    for (std::int64_t k = 0; k < options_.logprobs; ++k) {
      const std::int64_t at = i * options_.logprobs + k;
      step.push_back({host_ids.const_data_ptr<std::int64_t>()[at], host_values.const_data_ptr<float>()[at]});
    }
    results_[active_[first + static_cast<size_t>(i)].request].logprobs.push_back(std::move(step));
  }
}

/// Keeps the active slots together, so that a decoding step reads the cache without gathering.
void TokenGenerator::retire_finished() {
  for (size_t s = active_.size(); s-- > 0;) {
    if (results_[active_[s].request].finish_reason.empty()) continue;
    if (active_[s].watched) release(active_[s]);  // it ended before anything of it was read
    ++finished_;
    membership_changed_ = true;
    const size_t last = active_.size() - 1;
    if (s != last) {
      cache_.copy_slot(static_cast<std::int64_t>(last), static_cast<std::int64_t>(s));
      active_[s] = active_[last];
    }
    cache_.clear(static_cast<std::int64_t>(last));
    active_.pop_back();
  }
}

Steering TokenGenerator::steering_for(const PackedBatch& batch, std::span<const size_t> held) const {
  if (std::all_of(held.begin(), held.end(), [&](size_t s) { return active_[s].strength.is_zero(); }))
    return Steering();
  Interventions interventions{.biases = biases_, .strengths = {}};
  for (const Active& active : active_) interventions.strengths.push_back(active.strength);
  return Steering(interventions, batch.requests, static_cast<std::int64_t>(active_.size()),
                  model_.decoder.dtype());
}

void TokenGenerator::report_progress() const {
  if (!options_.on_progress) return;
  const Progress progress{.stage = "generating",
                          .done = static_cast<std::int64_t>(finished_),
                          .total = static_cast<std::int64_t>(requests_.size()),
                          .unit = "prompts"};
  if (!options_.on_progress(progress) && finished_ < requests_.size()) {
    throw Error({.code = "run.interrupted",
                 .where = "generating",
                 .found = std::to_string(finished_) + " of " + std::to_string(requests_.size()) +
                          " replies finished"});
  }
}

}  // namespace safetylock
