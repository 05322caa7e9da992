// Is a locked model still useful? Perplexity of plain text, KL divergence from the unlocked model, and
// multiple choice.
//
// Thread rule: free functions; several threads may measure one model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/evaluate.h"
#include "safetylock/prompt_data.h"

namespace safetylock {

/// The longest piece of text that is measured at once, in tokens; the first of them is context only.
inline constexpr std::int64_t kTextWindow = 256;

/// `text` as windows of kTextWindow tokens, encoded without control tokens; a rest of one token is dropped.
/// Throws arg.prompt (invalid UTF-8), data.too_short (fewer than two tokens).
std::vector<std::vector<TokenId>> text_windows(const Tokenizer& tokenizer, const std::string& text);

/// Sums over the tokens of one window that are predicted: all but the first.
struct WindowScore {
  std::int64_t tokens = 0;
  std::optional<double> unlocked_nll = {};  ///< negative log-likelihood in nats
  std::optional<double> locked_nll = {};
  std::optional<double> kl = {};  ///< KL(unlocked || locked) of the next-token distributions; needs both
};

/// Which passes are made. On a model without a lock only the unlocked one can be.
struct Passes {
  bool unlocked = true;
  bool locked = false;  ///< at the strength of the applied lock
};

/// `window`: 2 to the model's context of tokens. Throws arg.range, lock.state, num.nonfinite.
WindowScore score_window(const CausalLM& model, const std::vector<TokenId>& window, const Passes& passes);

/// exp(nll / tokens) with a bootstrap interval over windows; n counts windows. Windows without the score are
/// an Error arg.pairing.
Mean perplexity(const std::vector<WindowScore>& windows, bool locked);
/// Nats a token, interval over windows.
Mean mean_kl(const std::vector<WindowScore>& windows);

struct ChoiceResult {
  /// Mean log-likelihood a token of each choice as the reply to the prompt.
  std::vector<double> scores;
  std::size_t chosen = 0;  ///< the likeliest, the first of equals
  bool right = false;
};

/// In order. Uses batch_size, system, trust_special_tokens, strength and on_progress (unit "questions") of
/// the options. Throws data.empty, data.too_short (a choice without tokens), arg.*, num.nonfinite,
/// run.interrupted.
std::vector<ChoiceResult> answer_choices(const CausalLM& model, const std::vector<ChoiceQuestion>& questions,
                                         const EvaluateOptions& options = {});

/// Share of right answers.
Rate accuracy(const std::vector<ChoiceResult>& results);
/// On being right; both over the same questions, else Error arg.pairing.
McNemar compare(const std::vector<ChoiceResult>& unlocked, const std::vector<ChoiceResult>& locked);

}  // namespace safetylock
