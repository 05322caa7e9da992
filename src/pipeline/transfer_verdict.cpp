#include <algorithm>
#include <cmath>
#include <cstdio>

#include "safetylock/transfer.h"

namespace safetylock {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

std::string share(const Rate& rate) {
  return std::to_string(rate.count) + " of " + std::to_string(rate.n) + " questions";
}

std::string list(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

class Judge {
 public:
  void say(TransferVerdict verdict, std::string reason) { findings_.push_back({verdict, std::move(reason)}); }
  /// Refuses unless `keeps`; else warns unless `passes`.
  void ask(bool keeps, bool passes, const std::string& reason) {
    if (!keeps) return say(TransferVerdict::refuse, reason);
    if (!passes) say(TransferVerdict::warn, reason);
  }
  bool content() const noexcept { return findings_.empty(); }
  TransferJudgement judgement() {
    std::stable_sort(findings_.begin(), findings_.end(),
                     [](const Finding& a, const Finding& b) { return a.verdict > b.verdict; });
    TransferJudgement result{.verdict = findings_.front().verdict, .reasons = {}};
    for (Finding& finding : findings_) result.reasons.push_back(std::move(finding.reason));
    return result;
  }

 private:
  struct Finding {
    TransferVerdict verdict;
    std::string reason;
  };
  std::vector<Finding> findings_;
};

void judge_base(const TransferEvidence& e, const TransferThresholds& t, Judge& judge) {
  const double least = e.lock_pairs ? t.lock_pairs_cosine : t.other_pairs_cosine;
  const bool agrees = e.lock_cosine >= least;
  const std::string cosine =
      "the lock's directions and those derived on the base have a mean cosine of " + number(e.lock_cosine) +
      (agrees ? "" : ", less than " + number(least)) +
      (e.lock_pairs ? "" : " (on other pairs than the lock's: its own would tell more)");
  if (!e.base_differs.empty()) {
    judge.say(agrees ? TransferVerdict::warn : TransferVerdict::refuse,
              std::string("the base is ") +
                  (agrees ? "recorded otherwise in the lock (" : "not the lock's (") + list(e.base_differs) +
                  "); " + cosine);
  } else if (!agrees) {
    judge.say(TransferVerdict::warn, "the pairs ask for something else than the lock's own: " + cosine);
  }
}

}  // namespace

const char* to_string(TransferVerdict verdict) noexcept {
  switch (verdict) {
    case TransferVerdict::pass:
      return "pass";
    case TransferVerdict::warn:
      return "warn";
    case TransferVerdict::refuse:
      break;
  }
  return "refuse";
}

// Comparisons are written so that not a number fails them.
TransferJudgement judge_transfer(const TransferEvidence& e, const TransferThresholds& t) {
  Judge judge;
  judge.ask(e.separation_base.low > 0.5, e.separation_base.value >= t.pass_separation,
            "in the base the locked heads tell safe from unsafe replies on " + share(e.separation_base) +
                " only: these pairs cannot show whether the lock transfers");
  judge_base(e, t, judge);
  judge.ask(e.separation_tuned.low > 0.5, e.separation_tuned.value >= t.pass_separation,
            "in the tuned model the locked heads tell safe from unsafe replies on " +
                share(e.separation_tuned) + " only");
  judge.ask(e.own_numbers >= t.refuse_own_numbers, e.own_numbers >= t.pass_own_numbers,
            "in a layer with locked heads only " + number(100 * e.own_numbers) +
                " % of the heads are nearest to the tuned model's head of the same number: its heads are "
                "numbered otherwise, or it is no descendant of the base");
  judge.ask(e.cosine >= t.refuse_cosine, e.cosine_low >= t.pass_cosine,
            "the locked heads' directions have a mean cosine of " + number(e.cosine) +
                " between base and tuned model (lower end " + number(e.cosine_low) + "; " +
                number(t.pass_cosine) + " passes, less than " + number(t.refuse_cosine) + " is refused)");
  judge.ask(e.sigma_change < HUGE_VAL, e.sigma_change <= t.pass_sigma_change,
            "the locked heads' sigmas have changed by a factor of " + number(e.sigma_change) + " (" +
                number(t.pass_sigma_change) +
                " passes): a strength does not mean the same on the tuned model");
  judge.ask(true, e.kl <= t.pass_kl,
            "the locked heads' densities have moved by " + number(e.kl) + " nats (" + number(t.pass_kl) +
                " passes)");
  if (e.tokenizer_differs)
    judge.say(TransferVerdict::warn,
              "the tuned model has another tokenizer or chat template: its rows are not the base's");
  if (judge.content())
    judge.say(TransferVerdict::pass, "the locked heads' directions have a mean cosine of " +
                                         number(e.cosine) + " (lower end " + number(e.cosine_low) +
                                         ") between base and tuned model, sigmas a factor of " +
                                         number(e.sigma_change) + ", densities " + number(e.kl) + " nats");
  return judge.judgement();
}

}  // namespace safetylock
