#include <ATen/ATen.h>

#include <chrono>

#include "analysis/statistics.h"
#include "base/sha256.h"
#include "model/causal_lm_impl.h"
#include "pipeline/transfer_parts.h"

namespace safetylock {
namespace {

constexpr std::int64_t kLeastResamples = 100;
constexpr std::int64_t kDefaultTokens = 5;  // of imported locks, which do not say

void check_options(const TransferOptions& options) {
  const auto check = [](const char* where, std::int64_t value, std::int64_t least) {
    if (value >= least) return;
    throw Error({.code = "arg.range",
                 .where = std::string("TransferOptions: ") + where,
                 .expected = "at least " + std::to_string(least),
                 .found = std::to_string(value)});
  };
  check("resamples", options.resamples, kLeastResamples);
  check("density_heads", options.density_heads, 0);
}

std::vector<std::string> differences(const CausalLM& base, const LockIdentity& lock) {
  std::vector<std::string> differs;
  if (base.impl().weights_digest() != lock.weights_digest) differs.emplace_back("weights");
  if (sha256_hex(canonical_text(base.config())) != lock.config_digest) differs.emplace_back("configuration");
  if (base.tokenizer().digest() != lock.tokenizer_digest) differs.emplace_back("tokenizer");
  return differs;
}

}  // namespace

at::Tensor direction_tensor(const HeadDirection& head) {
  return at::tensor(at::ArrayRef<float>(head.direction)).to(at::kDouble);
}

void check_transfer_model(const CausalLM& model, const SafetyLock& lock, const char* name) {
  lock.check_fits(model.config());
  if (model.default_interventions() == nullptr) return;
  throw Error({.code = "lock.state",
               .where = std::string("measure_transfer: ") + name,
               .expected = "a model without a lock",
               .found = "a lock applied already"});
}

SeparationVotes::SeparationVotes(const SafetyLock& lock, const QuestionRows& rows)
    : lock_(lock), rows_(rows), sums_(at::zeros({rows.questions}, at::kDouble)) {}

void SeparationVotes::add(std::int64_t layer, const LayerProfile& profile) {
  at::Tensor gaps;
  for (const HeadDirection& head : lock_.heads()) {
    if (head.id.layer != layer) continue;
    if (!gaps.defined()) gaps = held_out_gaps(profile, rows_);
    sums_ += gaps.select(1, head.id.head);
  }
}

Rate SeparationVotes::rate() const {
  const std::int64_t above = (sums_ > 0).sum().item<std::int64_t>();
  const Interval interval = wilson_interval(above, rows_.questions);
  return {.count = above,
          .n = rows_.questions,
          .value = static_cast<double>(above) / static_cast<double>(rows_.questions),
          .low = interval.low,
          .high = interval.high};
}

CollectOptions BaseProfile::Impl::collect_options(const std::string& name) const {
  CollectOptions collect{.tokens_per_reply = tokens_per_reply,
                         .system = options.system,
                         .trust_special_tokens = options.trust_special_tokens,
                         .clock = options.clock};
  if (options.on_progress) {
    collect.on_progress = [this, name](Progress progress) {
      progress.stage = name + ": " + progress.stage;
      return options.on_progress(progress);
    };
  }
  return collect;
}

BaseProfile::BaseProfile(const CausalLM& base, SafetyLock lock, std::vector<PromptPair> pairs,
                         TransferOptions options)
    : impl_(new Impl{.lock = std::move(lock), .pairs = std::move(pairs), .options = std::move(options)}) {
  const auto begin = std::chrono::steady_clock::now();
  check_options(impl_->options);
  check_transfer_model(base, impl_->lock, "base");
  const LockIdentity& id = impl_->lock.identity();
  impl_->tokens_per_reply = id.tokens_per_reply > 0 ? id.tokens_per_reply : kDefaultTokens;
  const CollectOptions collect = impl_->collect_options("base");
  const ActivationRows rows = activation_rows(base, impl_->pairs, collect);
  impl_->rows = question_rows(rows.labels, rows.groups);
  SeparationVotes votes(impl_->lock, impl_->rows);
  for_each_layer(base, impl_->pairs, collect, [&](std::int64_t layer, const at::Tensor& values) {
    LayerSide side{.profile = profile_layer(values, impl_->rows), .projections = {}};
    at::Tensor reference = side.profile.directions.clone();
    for (const HeadDirection& head : impl_->lock.heads()) {
      if (head.id.layer == layer) reference[head.id.head].copy_(direction_tensor(head));
    }
    side.projections = project_rows(values, reference);
    votes.add(layer, side.profile);
    impl_->layers.push_back(std::move(side));
    impl_->references.push_back(std::move(reference));
  });
  impl_->separation = votes.rate();
  impl_->differs = differences(base, id);
  impl_->tokenizer_digest = base.tokenizer().digest();
  impl_->template_source = base.chat_template().source();
  impl_->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

BaseProfile::~BaseProfile() = default;
BaseProfile::BaseProfile(BaseProfile&&) noexcept = default;
BaseProfile& BaseProfile::operator=(BaseProfile&&) noexcept = default;

}  // namespace safetylock
