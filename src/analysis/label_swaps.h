// Labels that mean nothing but keep the structure of the questions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analysis/random.h"
#include "analysis/splits.h"

namespace safetylock {

/// In each draw a coin a question decides whether its safe and unsafe rows change places. Draws under which
/// some side of `splits` would hold one class only (they can when rows are split) are drawn anew: whether
/// that is so depends on the drawn labels alone, so that the test stays exact.
class LabelSwaps {
 public:
  /// The arguments must outlive it. Throws data.single_class when a question has rows of one class only.
  LabelSwaps(const Questions& questions, std::span<const std::int64_t> labels, std::span<const Split> splits,
             std::uint64_t seed);

  /// [N]. Throws data.single_class when no draw leaves both classes on every side.
  std::vector<std::int64_t> next();

 private:
  const Questions& questions_;
  std::span<const std::int64_t> labels_;
  std::span<const Split> splits_;
  Random random_;
};

}  // namespace safetylock
