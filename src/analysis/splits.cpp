#include "analysis/splits.h"

#include <algorithm>
#include <cmath>

#include "analysis/head_rows.h"
#include "analysis/random.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

// How many of n go to training, with at least two on either side.
std::int64_t training_count(std::int64_t n, double fraction) {
  const auto wanted = static_cast<std::int64_t>(std::llround(fraction * static_cast<double>(n)));
  return std::clamp<std::int64_t>(wanted, 2, n - 2);
}

std::int64_t safe_count(const std::vector<std::int64_t>& rows, std::span<const std::int64_t> labels) {
  std::int64_t safe = 0;
  for (const std::int64_t row : rows) safe += labels[static_cast<size_t>(row)];
  return safe;
}

bool has_both_classes(const std::vector<std::int64_t>& rows, std::span<const std::int64_t> labels) {
  const std::int64_t safe = safe_count(rows, labels);
  return safe > 0 && safe < static_cast<std::int64_t>(rows.size());
}

void check_side(const std::vector<std::int64_t>& rows, std::span<const std::int64_t> labels,
                const char* side) {
  if (has_both_classes(rows, labels)) return;
  const std::int64_t safe = safe_count(rows, labels);
  throw Error({"data.single_class", "", std::string("rank_heads: ") + side + " rows", "rows of both classes",
               std::to_string(safe) + " safe, " +
                   std::to_string(static_cast<std::int64_t>(rows.size()) - safe) + " unsafe",
               "Give more questions, each with a safe and an unsafe reply"});
}

Split split_questions(const Questions& questions, double fraction, Random& random) {
  std::vector<std::int64_t> order = all_rows(questions.count);
  random.shuffle(order);
  std::vector<bool> trains(order.size(), false);
  const std::int64_t count = training_count(questions.count, fraction);
  for (std::int64_t i = 0; i < count; ++i) trains[static_cast<size_t>(order[static_cast<size_t>(i)])] = true;
  Split split;
  for (size_t row = 0; row < questions.of_row.size(); ++row) {
    const bool train = trains[static_cast<size_t>(questions.of_row[row])];
    (train ? split.train : split.validation).push_back(static_cast<std::int64_t>(row));
  }
  return split;
}

Split split_rows(std::int64_t rows, double fraction, Random& random) {
  std::vector<std::int64_t> order = all_rows(rows);
  random.shuffle(order);
  const auto middle = order.begin() + training_count(rows, fraction);
  std::sort(order.begin(), middle);
  std::sort(middle, order.end());
  return {{order.begin(), middle}, {middle, order.end()}};
}

void check_options(const RankOptions& options) {
  if (options.protocol != "grouped" && options.protocol != "paper") {
    throw Error({"arg.protocol", "", "rank_heads: protocol", "\"grouped\" or \"paper\"",
                 "\"" + escape_untrusted(options.protocol, 40) + "\"", ""});
  }
  if (options.repeats < 1) {
    throw Error({"arg.range", "", "rank_heads: repeats", "at least 1", std::to_string(options.repeats), ""});
  }
  if (!(options.train_fraction > 0 && options.train_fraction < 1)) {
    throw Error({"arg.range", "", "rank_heads: train_fraction", "above 0 and below 1",
                 std::to_string(options.train_fraction), ""});
  }
}

}  // namespace

Questions number_questions(std::span<const std::int64_t> groups) {
  std::vector<std::int64_t> ids(groups.begin(), groups.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  Questions questions;
  questions.count = static_cast<std::int64_t>(ids.size());
  questions.of_row.reserve(groups.size());
  for (const std::int64_t group : groups) {
    questions.of_row.push_back(std::lower_bound(ids.begin(), ids.end(), group) - ids.begin());
  }
  return questions;
}

bool has_both_classes(const Split& split, std::span<const std::int64_t> labels) {
  return has_both_classes(split.train, labels) && has_both_classes(split.validation, labels);
}

std::vector<Split> draw_splits(const Questions& questions, std::int64_t rows, const RankOptions& options) {
  check_options(options);
  const bool grouped = options.protocol == "grouped";
  if (questions.count < 4) {
    throw Error({"data.too_few", "", "rank_heads: groups",
                 "at least 4 questions, two for either side of a split", std::to_string(questions.count),
                 "Give more pairs"});
  }
  Random random(options.seed);
  std::vector<Split> splits;
  for (std::int64_t i = 0; i < (grouped ? options.repeats : 1); ++i) {
    splits.push_back(grouped ? split_questions(questions, options.train_fraction, random)
                             : split_rows(rows, options.train_fraction, random));
  }
  return splits;
}

std::vector<Split> make_splits(const Questions& questions, std::span<const std::int64_t> labels,
                               const RankOptions& options) {
  std::vector<Split> splits = draw_splits(questions, static_cast<std::int64_t>(labels.size()), options);
  for (const Split& split : splits) {
    check_side(split.train, labels, "training");
    check_side(split.validation, labels, "validation");
  }
  return splits;
}

}  // namespace safetylock
