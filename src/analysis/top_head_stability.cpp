#include <algorithm>
#include <cmath>

#include "analysis/random.h"
#include "analysis/ranking.h"
#include "analysis/trials.h"
#include "safetylock/error.h"
#include "safetylock/ranking_evidence.h"

namespace safetylock {
namespace {

// Keeps the halves apart from the other random numbers of the same seed.
constexpr std::uint64_t kHalvesStream = 0xA0761D6478BD642F;
constexpr std::int64_t kFewestQuestions = 8;  // a half must be split in two with two questions a side
constexpr int kMaxDraws = 1000;

void check_range(const char* what, std::int64_t value, std::int64_t most) {
  if (value >= 1 && value <= most) return;
  throw Error({"arg.range", "", std::string("top_head_stability: ") + what, "1 to " + std::to_string(most),
               std::to_string(value), ""});
}

/// The rows of some questions, numbered anew, with their splits brought back to the numbers of all rows.
std::vector<Split> splits_within(const RankingInput& input, const std::vector<bool>& taken,
                                 RankOptions options, Random& random) {
  std::vector<std::int64_t> rows, groups, labels;
  for (size_t row = 0; row < input.labels.size(); ++row) {
    if (!taken[static_cast<size_t>(input.questions.of_row[row])]) continue;
    rows.push_back(static_cast<std::int64_t>(row));
    groups.push_back(input.questions.of_row[row]);
    labels.push_back(input.labels[row]);
  }
  const Questions questions = number_questions(groups);
  const auto valid = [&](const Split& split) { return has_both_classes(split, labels); };
  std::vector<Split> splits;
  for (int draw = 0; draw < kMaxDraws; ++draw) {
    options.seed = random.below(std::uint64_t{1} << 63);
    splits = draw_splits(questions, static_cast<std::int64_t>(rows.size()), options);
    if (std::all_of(splits.begin(), splits.end(), valid)) break;
  }
  if (!std::all_of(splits.begin(), splits.end(), valid)) splits = make_splits(questions, labels, options);
  for (Split& split : splits) {
    for (std::vector<std::int64_t>* side : {&split.train, &split.validation})
      for (std::int64_t& row : *side) row = rows[static_cast<size_t>(row)];
  }
  return splits;
}

/// Which of the L*H heads are among the k best.
std::vector<bool> best_heads(std::vector<HeadScore> scores, std::int64_t heads_per_layer, std::int64_t k) {
  sort_best_first(scores);
  std::vector<bool> best(scores.size(), false);
  for (std::int64_t i = 0; i < k; ++i) {
    const HeadId id = scores[static_cast<size_t>(i)].id;
    best[static_cast<size_t>(id.layer * heads_per_layer + id.head)] = true;
  }
  return best;
}

double jaccard(double shared, std::int64_t k) {
  return shared / (2 * static_cast<double>(k) - shared);
}

double log_choose(std::int64_t n, std::int64_t k) {
  return std::lgamma(static_cast<double>(n + 1)) - std::lgamma(static_cast<double>(k + 1)) -
         std::lgamma(static_cast<double>(n - k + 1));
}

/// Two random sets of k of m heads share a hypergeometric number.
double expected_jaccard(std::int64_t m, std::int64_t k) {
  double sum = 0;
  for (std::int64_t i = std::max<std::int64_t>(0, 2 * k - m); i <= k; ++i) {
    const double p = std::exp(log_choose(k, i) + log_choose(m - k, k - i) - log_choose(m, k));
    sum += p * jaccard(static_cast<double>(i), k);
  }
  return sum;
}

}  // namespace

TopHeadStability top_head_stability(const at::Tensor& values, const at::Tensor& labels,
                                    const at::Tensor& groups, const RankOptions& options, std::int64_t k,
                                    std::int64_t rounds) {
  check_probe_options(options.probe);
  const RankingInput input(values, labels, groups, "top_head_stability");
  const std::int64_t heads = input.heads.heads();
  check_range("k", k, heads);
  check_range("rounds", rounds, 1 << 20);
  if (input.questions.count < kFewestQuestions) {
    throw Error({"data.too_few", "", "top_head_stability: groups",
                 "at least " + std::to_string(kFewestQuestions) + " questions",
                 std::to_string(input.questions.count), "Give more pairs"});
  }
  Random random(options.seed ^ kHalvesStream);
  const auto count = static_cast<size_t>(input.questions.count);
  std::vector<std::int64_t> order = all_rows(input.questions.count);
  std::vector<Trial> trials;
  for (std::int64_t r = 0; r < rounds; ++r) {
    random.shuffle(order);
    // With an odd number of questions one is left out.
    for (const size_t begin : {size_t{0}, count / 2}) {
      std::vector<bool> taken(count, false);
      for (size_t i = begin; i < begin + count / 2; ++i) taken[static_cast<size_t>(order[i])] = true;
      trials.push_back({.labels = input.labels, .splits = splits_within(input, taken, options, random)});
    }
  }
  const std::vector<std::vector<HeadScore>> scores =
      score_trials(input, trials, options, "ranking on half of the questions");

  TopHeadStability result{.rounds = rounds, .k = k, .share = std::vector<double>(static_cast<size_t>(heads))};
  for (size_t t = 0; t < scores.size(); t += 2) {
    const std::vector<bool> one = best_heads(scores[t], input.heads_per_layer, k);
    const std::vector<bool> other = best_heads(scores[t + 1], input.heads_per_layer, k);
    double shared = 0;
    for (size_t h = 0; h < one.size(); ++h) {
      shared += one[h] && other[h];
      result.share[h] += (one[h] + other[h]) / (2.0 * static_cast<double>(rounds));
    }
    result.mean_shared += shared / static_cast<double>(rounds);
    result.mean_jaccard += jaccard(shared, k) / static_cast<double>(rounds);
  }
  result.chance_jaccard = expected_jaccard(heads, k);
  result.chance_shared = static_cast<double>(k * k) / static_cast<double>(heads);
  return result;
}

}  // namespace safetylock
