// Decoding of many requests in one batch: new ones join when others have finished. Knows tokens, not text.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/fixed_decode_step.h"
#include "model/causal_lm_impl.h"
#include "model/gate_probe.h"
#include "model/kernels/row_peaks.h"
#include "safetylock/generate.h"

namespace safetylock {

struct TokenRequest {
  std::vector<TokenId> prompt_ids;  ///< not empty
  Strength strength;                ///< where it is gated, the most that the gate can give
  bool gated = false;               ///< needs a gate in the options
  PromptPlaces places = {};         ///< of the prompt; what is missing counts as open
  SamplingOptions sampling = {};
  std::uint64_t draws = 0;  ///< which sequence of draws of the seed
};

struct TokenResult {
  std::vector<TokenId> token_ids;
  std::string finish_reason;
  std::vector<std::vector<TokenLogprob>> logprobs;
  std::optional<GateReading> gate;  ///< of a gated request
};

struct TokenGeneratorOptions {
  std::int64_t max_new_tokens;
  std::int64_t batch_size;
  std::int64_t logprobs;
  std::set<TokenId> stop_ids;
  ProgressCallback on_progress;
  /// Sees the logits [V] float32 from which the first token of a reply is chosen, on the model's device.
  std::function<void(size_t request, const at::Tensor& logits)> on_first_logits = {};
  /// Sees the tokens of a reply one by one, without the stop token; false ends the reply: "stop".
  std::function<bool(size_t request, TokenId token)> on_token = {};
  std::function<void(size_t request)> on_end = {};  ///< the reply has ended
  std::shared_ptr<const GateProbe> gate = {};
  GateRule rule = {};
  /// Reads the first tokens of replies to gated requests whose gate stayed closed. Until it has, on_token
  /// sees none of them: where it opens, the reply is begun anew, now locked.
  std::shared_ptr<const GateProbe> reply_gate = {};
  GateRule reply_rule = {};
  /// Decode with FixedDecodeStep, as is done on CUDA where it can be; on the CPU it only costs.
  bool fixed_buffers = false;
};

/// One call of generate_batch.
class TokenGenerator {
 public:
  /// `biases` as in Interventions; used for requests whose strength is not zero.
  TokenGenerator(const CausalLM::Impl& model, std::map<std::int64_t, at::Tensor> biases,
                 std::vector<TokenRequest> requests, TokenGeneratorOptions options);

  /// Throws num.nonfinite (request, step), run.interrupted.
  std::vector<TokenResult> run();

 private:
  /// A request in a slot of the cache.
  struct Active {
    size_t request;
    TokenId next;             ///< chosen, not yet seen by the model
    Strength strength;        ///< in force
    bool watched = false;     ///< the gate of replies is still reading
    std::int64_t read = 0;    ///< tokens that it has read
    double scores = 0;        ///< their sum
    bool begin_anew = false;  ///< the reply so far is void
  };

  /// A pass over the next token of each active request, made anew when other requests are active.
  struct Step {
    PackedBatch batch;
    DecoderPass pass;

    Step(const Decoder& decoder, PackedBatch rows, const Steering& steering, const HookSnapshot& hooks,
         KvCache& cache)
        : batch(std::move(rows)), pass(decoder, batch, steering, hooks, &cache) {}
    /// Row i's token follows what slot i holds.
    void advance(const std::vector<Active>& active);
  };

  void admit();
  void decode_step();
  bool goes_on_as_before() const;
  void decode_over_buffers();
  bool can_use_buffers() const;
  bool watches_replies() const;
  std::vector<PromptPlaces> watched_places(const PackedBatch& batch) const;
  void judge_reply(Active& active, double score);
  void release(Active& active);
  bool outgrows_its_keys(std::int64_t slot) const;
  std::vector<TokenId> tokens_of(size_t request) const;  ///< prompt and reply so far
  /// The pass over `batch`: outputs of the last layer [n, E] for the last row of each segment.
  at::Tensor last_hidden(const PackedBatch& batch, const Steering& steering, const HookSnapshot& hooks);
  /// The pass over new prompts: reads the gates, and once more the prompts that opened theirs, now locked.
  at::Tensor read_prompts(const PackedBatch& batch, size_t first);
  /// Chooses and records the next token of active_[first] ... from what the last layer gave for them, or from
  /// their logits [n, V].
  void continue_after(const at::Tensor& hidden, size_t first);
  void continue_with(const at::Tensor& logits, size_t first);
  void check_logits(const at::Tensor& logits, size_t first);
  void show_first_logits(const at::Tensor& logits, size_t first) const;
  /// Fills chosen_, a token for each row of `logits`, which has been checked.
  void choose(const at::Tensor& logits, size_t first);
  /// The same for `rows` alone, whose requests are not greedy.
  void sample(const at::Tensor& logits, size_t first, const std::vector<std::int64_t>& rows);
  void record(Active& active, TokenId token);
  void add_logprobs(const at::Tensor& logits, size_t first);
  void retire_finished();
  /// `held`: places in active_ of the requests that `batch` holds.
  Steering steering_for(const PackedBatch& batch, std::span<const size_t> held) const;
  void report_progress() const;

  const CausalLM::Impl& model_;
  HookSnapshot hooks_;
  std::map<std::int64_t, at::Tensor> biases_;
  std::vector<TokenRequest> requests_;
  TokenGeneratorOptions options_;
  std::vector<TokenResult> results_;
  KvCache cache_;
  std::vector<Active> active_;  // active_[s] holds slot s
  size_t admitted_ = 0, finished_ = 0;
  Steering decode_steering_;
  std::unique_ptr<Step> step_;  // null where the next one has to be made anew
  std::vector<RowPeak> peaks_;  // of the logits at hand
  std::vector<TokenId> chosen_;
  bool membership_changed_ = true;                                        // decode_steering_ is out of date
  std::map<std::int64_t, std::unique_ptr<FixedDecodeStep>> fixed_steps_;  // by size of the batch
};

}  // namespace safetylock
