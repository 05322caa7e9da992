#include <algorithm>

#include "cli/extract/output.h"
#include "cli/printable.h"
#include "cli/progress_bar.h"
#include "cli/table.h"
#include "cli/text_format.h"
#include "pipeline/evaluate_parts.h"

namespace safetylock::cli {
namespace {

constexpr size_t kShownHeads = 10;
constexpr double kLargestP = 0.05;

std::string head_table(const SafetyLock& lock, const Extraction& e) {
  std::vector<TableRow> rows = {{"layer.head", "accuracy", "95 % interval", "AUC", "p", "in top K", "sigma"}};
  for (size_t i = 0; i < std::min(lock.heads().size(), kShownHeads); ++i) {
    const HeadScore& score = e.ranking[i];
    const std::optional<double> p = e.p_value(score), share = e.top_k_share(score);
    rows.push_back({std::to_string(score.id.layer) + "." + std::to_string(score.id.head),
                    fixed(score.accuracy, 3), interval(score.ci_low, score.ci_high), fixed(score.auc, 3),
                    p ? fixed(*p, 3) : "-", share ? text_format("%.0f %%", 100 * *share) : "-",
                    fixed(static_cast<double>(lock.heads()[i].sigma), 4)});
  }
  return table(rows);
}

std::string permutation_text(const SafetyLock& lock, const Extraction& e) {
  const PermutationBaseline& p = *e.evidence.permutation;
  const auto heads = static_cast<std::ptrdiff_t>(lock.heads().size());
  const auto above = std::count_if(e.ranking.begin(), e.ranking.begin() + heads, [&](const HeadScore& score) {
    return p.p_value(score.accuracy) <= kLargestP;
  });
  return text_format("best head up to %.3f (95 %% of %lld rounds); %td of the lock's %td heads beat it",
                     p.top_quantile_95, static_cast<long long>(p.rounds), above, heads);
}

std::string stability_text(const TopHeadStability& s) {
  return text_format("two halves of them share %.1f of their best %lld heads (%.1f by chance)", s.mean_shared,
                     static_cast<long long>(s.k), s.chance_shared);
}

std::string paper_text(const ProtocolComparison& p) {
  return text_format("%.3f where a split by question says %.3f; over all heads it is %+.3f off",
                     p.row_split_accuracy, p.grouped_accuracy, p.leak_of_all_heads);
}

std::string evidence_facts(const SafetyLock& lock, const Extraction& e) {
  std::vector<Fact> rows;
  if (e.evidence.permutation) rows.emplace_back("shuffled labels", permutation_text(lock, e));
  if (e.evidence.stability) rows.emplace_back("other questions", stability_text(*e.evidence.stability));
  rows.emplace_back("split by row", paper_text(e.evidence.protocols));
  return facts(rows);
}

TableRow check_row(const std::string& name, const Mean& unlocked, const Mean& locked, const Mean& shift) {
  return {name,
          std::to_string(shift.n),
          with_sign(unlocked.value),
          with_sign(locked.value),
          with_sign(shift.value),
          text_format("[%+.2f, %+.2f]", shift.low, shift.high)};
}

std::string check_table(const CausalCheck& c) {
  return table({{"prompts", "n", "unlocked", "locked", "shift", "95 % interval"},
                check_row("harmful", c.harmful_unlocked, c.harmful_locked, c.harmful_shift),
                check_row("benign", c.benign_unlocked, c.benign_locked, c.benign_shift)});
}

std::string verdict(const Session& session, const CausalCheck& check) {
  if (check.passed()) {
    return session.terminal().styled(Stream::out, Style::green, "passed") +
           ": the lock raises refusal of harmful prompts and leaves benign ones where they were";
  }
  std::string reasons;
  if (!check.harmful_raised) reasons = "the refusal margin of harmful prompts does not rise for certain";
  if (!check.benign_stays)
    reasons += std::string(reasons.empty() ? "" : ", and ") +
               "benign prompts move at least half as much as harmful ones";
  return session.terminal().styled(Stream::out, Style::red, "FAILED") + ": " + reasons;
}

std::string check_text(const Session& session, const std::optional<CausalCheck>& check) {
  if (!check) return std::string("  ") + kNoCausalCheck;
  return check_table(*check) + "  " + verdict(session, *check);
}

std::string gate_report(const Session& session, const char* name, const std::optional<DerivedGate>& derived) {
  if (!derived) return "";
  const GateCandidate& chosen = derived->candidates[derived->chosen];
  const GateEvidence& e = derived->gate.evidence;
  std::string positions;
  for (const GatePosition position : chosen.positions)
    positions += (positions.empty() ? "" : ", ") + std::string(to_string(position));
  return session.heading(std::string(name) + ": on topics that it was not trained on") + "\n" +
         facts({{"reads", text_format("%lld heads at %s, C = %g; best of %zu ways tried",
                                      static_cast<long long>(chosen.num_heads), positions.c_str(), chosen.C,
                                      derived->candidates.size())},
                {"opens at", text_format("a probability of %.3f", derived->gate.threshold)},
                {"told apart", text_format("AUC %.3f, log loss %.3f", derived->auc, derived->log_loss)}}) +
         table({rate_row("harmful requests missed", rate_of(e.missed, e.harmful)),
                rate_row("false alarms on harmless ones", rate_of(e.false_alarms, e.harmless))});
}

}  // namespace

std::string extraction_report(const Session& session, const ExtractOptions& options, const SafetyLock& lock,
                              const Extraction& e) {
  const size_t shown = std::min(lock.heads().size(), kShownHeads);
  return session.heading("Lock " + one_line(options.output)) + "\n  " + std::to_string(lock.heads().size()) +
         " heads in " + std::to_string(lock.layers().size()) + " layers, default alpha " +
         fixed(lock.default_strength().alpha(), 2) + ", digest " + lock.content_digest().substr(0, 16) +
         "\n  " + std::to_string(e.pairs) + " pairs, " + std::to_string(e.rows) + " rows, " +
         std::to_string(e.tokens) + " tokens: " + fixed(e.pairs_per_second, 2) + " pairs/s; " +
         duration_text(e.seconds.total) + " in all\n" +
         session.heading("Best " + std::to_string(shown) + " heads") + "\n" + head_table(lock, e) +
         session.heading("Evidence for the ranking") + "\n" + evidence_facts(lock, e) +
         gate_report(session, "Gate", e.gate) + gate_report(session, "Gate of replies", e.reply_gate) +
         session.heading("Causal check: refusal margin of the base itself, without and with the lock") +
         "\n" + check_text(session, e.check) + "\n";
}

}  // namespace safetylock::cli
