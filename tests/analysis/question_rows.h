// Rows of questions of two replies of five tokens, made by generated_integers.
#pragma once

#include "analysis/generated_rows.h"

namespace safetylock::test {

struct QuestionRows {
  at::Tensor values;  ///< [N, L, H, D] float32
  at::Tensor labels;  ///< [N]
  at::Tensor groups;  ///< [N]
};

/// Labels without meaning. `correlation` 0: independent rows; 1: all tokens of a reply alike.
inline QuestionRows noise(std::uint64_t seed, std::int64_t questions, std::int64_t layers, std::int64_t heads,
                          std::int64_t dim, double correlation = 0) {
  const std::int64_t n = questions * 10;
  const auto normal = [&](std::uint64_t s, std::int64_t rows) {
    return at::tensor(generated_integers(s, rows * layers * heads * dim), at::kDouble)
               .view({rows, layers, heads, dim}) /
           37837.0;  // the standard deviation of four uniform integers in [-2^15, 2^15)
  };
  const at::Tensor replies = normal(seed + 500, questions * 2).repeat_interleave(5, 0);
  at::Tensor values = (1 - correlation) * normal(seed, n) + correlation * replies;
  return {values.to(at::kFloat), 1 - at::arange(n, at::kLong).div(5, "floor") % 2,
          at::arange(n, at::kLong).div(10, "floor")};
}

/// Moves the safe rows of a head by `shift` along a random direction and the unsafe ones against it; returns
/// the unit direction.
inline at::Tensor plant(QuestionRows& rows, std::int64_t layer, std::int64_t head, double shift,
                        std::uint64_t seed) {
  at::Tensor direction = at::tensor(generated_integers(seed, rows.values.size(3)), at::kDouble);
  direction /= direction.norm();
  rows.values.select(1, layer).select(1, head) +=
      ((2 * rows.labels - 1).view({-1, 1}) * (shift * direction).view({1, -1})).to(at::kFloat);
  return direction;
}

}  // namespace safetylock::test
