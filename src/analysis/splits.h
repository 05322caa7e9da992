// Which rows a probe is trained on, and which it is judged by.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "safetylock/probes.h"

namespace safetylock {

struct Split {
  std::vector<std::int64_t> train;  ///< row indices, ascending
  std::vector<std::int64_t> validation;
};

/// Questions renumbered 0 .. Q - 1 in ascending order of their group id.
struct Questions {
  std::vector<std::int64_t> of_row;  ///< [N]
  std::int64_t count = 0;            ///< Q
};
Questions number_questions(std::span<const std::int64_t> groups);

/// Whether both sides of `split` hold both classes.
bool has_both_classes(const Split& split, std::span<const std::int64_t> labels);

/// As make_splits, without a look at the classes. `rows`: N.
std::vector<Split> draw_splits(const Questions& questions, std::int64_t rows, const RankOptions& options);

/// Splits of `options.protocol`. grouped: `options.repeats` random splits of the questions; all rows of a
/// question are on one side. paper: one random split of the rows. Both sides of every split hold both
/// classes. Throws arg.protocol, arg.range, data.too_few, data.single_class.
std::vector<Split> make_splits(const Questions& questions, std::span<const std::int64_t> labels,
                               const RankOptions& options);

}  // namespace safetylock
