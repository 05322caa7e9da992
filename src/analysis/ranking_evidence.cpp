#include "safetylock/ranking_evidence.h"

#include <algorithm>
#include <map>

#include "analysis/head_rows.h"
#include "analysis/splits.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr double kLargestP = 0.05;
constexpr std::int64_t kFewestQuestions = 8;  // top_head_stability's
// Enough to see the leak, which is the same in every round.
constexpr std::int64_t kLeakRounds = 3;

/// The validation part of protocol paper's score.
double row_split_accuracy(const HeadScore& paper) {
  return 2 * paper.accuracy - paper.train_accuracy;
}

std::map<HeadId, const HeadScore*> by_head(const std::vector<HeadScore>& ranking) {
  std::map<HeadId, const HeadScore*> heads;
  for (const HeadScore& score : ranking) heads[score.id] = &score;
  return heads;
}

[[noreturn]] void refuse(const char* code, const char* what, std::string expected, std::string found) {
  throw Error(
      {code, "", std::string("compare_protocols: ") + what, std::move(expected), std::move(found), ""});
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

ProtocolComparison compare_protocols(const std::vector<HeadScore>& grouped,
                                     const std::vector<HeadScore>& paper,
                                     const std::vector<HeadScore>& chosen, std::int64_t k) {
  const std::map<HeadId, const HeadScore*> by_question = by_head(grouped), by_row = by_head(paper);
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (!std::equal(by_question.begin(), by_question.end(), by_row.begin(), by_row.end(), same))
    refuse("arg.shape", "paper", "the heads of the grouped ranking", "other heads");
  if (k < 1 || k > static_cast<std::int64_t>(std::min(grouped.size(), chosen.size())))
    refuse("arg.range", "k", "1 to the number of heads", std::to_string(k));

  ProtocolComparison result{.k = k};
  const auto count = static_cast<size_t>(k);
  for (size_t i = 0; i < count; ++i) {
    const auto found = by_question.find(chosen[i].id);
    if (found == by_question.end()) refuse("arg.shape", "chosen", "heads of the rankings", "another head");
    const HeadScore& of_paper = *by_row.at(chosen[i].id);
    result.grouped_accuracy += found->second->accuracy / static_cast<double>(k);
    result.paper_accuracy += of_paper.accuracy / static_cast<double>(k);
    result.row_split_accuracy += row_split_accuracy(of_paper) / static_cast<double>(k);
    result.shared += std::any_of(paper.begin(), paper.begin() + k,
                                 [&](const HeadScore& s) { return s.id == grouped[i].id; });
  }
  result.leak = result.row_split_accuracy - result.grouped_accuracy;
  for (const HeadScore& score : grouped) {
    result.leak_of_all_heads +=
        (row_split_accuracy(*by_row.at(score.id)) - score.accuracy) / static_cast<double>(grouped.size());
  }
  return result;
}

RankingEvidence judge_ranking(const at::Tensor& values, const at::Tensor& labels, const at::Tensor& groups,
                              const std::vector<HeadScore>& ranking, const EvidenceOptions& options) {
  RankingEvidence evidence;
  RankOptions other = options.rank;
  const bool is_grouped = options.rank.protocol == "grouped";
  other.protocol = is_grouped ? "paper" : "grouped";
  const std::vector<HeadScore> beside = rank_heads(values, labels, groups, other);
  evidence.protocols =
      compare_protocols(is_grouped ? ranking : beside, is_grouped ? beside : ranking, ranking, options.k);
  if (options.permutations > 0) {
    evidence.permutation = permutation_baseline(values, labels, groups, options.rank, options.permutations);
    evidence.separates = evidence.permutation->p_value(ranking.front().accuracy) <= kLargestP;
    const RankOptions& paper = is_grouped ? other : options.rank;
    evidence.paper_on_shuffled_labels =
        mean(permutation_baseline(values, labels, groups, paper, std::min(kLeakRounds, options.permutations))
                 .mean_accuracy);
  }
  const Questions questions =
      number_questions(checked_integers(groups, values.size(0), "judge_ranking", "groups"));
  if (options.stability_rounds > 0 && questions.count >= kFewestQuestions) {
    evidence.stability =
        top_head_stability(values, labels, groups, options.rank, options.k, options.stability_rounds);
  }
  return evidence;
}

}  // namespace safetylock
