// The kernel's text, included once for each instruction set by panel_product.cpp (hence no include guard),
// which defines SAFETYLOCK_KERNEL, the attributes of every function here; Lanes, eight or sixteen floats, and
// kLanes; and kColumns, rows of W whose sums for 2 kLanes rows of x the registers hold.

#include "model/kernels/exponential_body.h"

/// n values, n <= kLanes, and zeros.
template <typename T>
SAFETYLOCK_KERNEL void load_some(const T* from, std::int64_t n, Lanes& to) {
  float values[kLanes] = {};
  widen(from, n, values);
  std::memcpy(&to, values, sizeof to);
}

/// The first n values, n <= kLanes, rounded.
template <typename T>
SAFETYLOCK_KERNEL void store_some(const Lanes& from, std::int64_t n, T* to) {
  float values[kLanes];
  std::memcpy(values, &from, sizeof values);
  for (std::int64_t i = 0; i < n; ++i) to[i] = rounded<T>(values[i]);
}

/// x [rows, depth], at most kVectors * kLanes of them, as [depth][kVectors * kLanes]; rows beyond are 0.
template <int kVectors, typename T>
SAFETYLOCK_KERNEL void pack(const T* x, std::int64_t rows, std::int64_t depth, float* panel) {
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t here = std::min<std::int64_t>(kLanes, rows - v * kLanes);
    const T* const from = x + v * kLanes * depth;
    for (std::int64_t k = 0; k < depth; k += kLanes) {
      const std::int64_t some = std::min<std::int64_t>(kLanes, depth - k);
      Lanes block[kLanes];
      if (here == kLanes && some == kLanes) {
#pragma GCC unroll 16
        for (std::int64_t r = 0; r < kLanes; ++r) load_some(from + r * depth + k, kLanes, block[r]);
      } else {
        for (std::int64_t r = 0; r < kLanes; ++r) {
          block[r] = Lanes{};
          if (r < here) load_some(from + r * depth + k, some, block[r]);
        }
      }
      transpose(block);
      float* const to = panel + (k * kVectors + v) * kLanes;
#pragma GCC unroll 16
      for (std::int64_t d = 0; d < kLanes; ++d) {
        if (d < some) std::memcpy(to + d * kVectors * kLanes, &block[d], sizeof block[d]);
      }
    }
  }
}

template <typename T>
SAFETYLOCK_KERNEL_ENTRY void pack_panel(const T* x, std::int64_t rows, std::int64_t depth, float* panel) {
  if (rows > kLanes) {
    pack<2>(x, rows, depth, panel);
  } else {
    pack<1>(x, rows, depth, panel);
  }
}

/// Depth after which the next rows of W are asked for again, and of the panel that is asked for ahead.
constexpr std::int64_t kSteps = 16;

/// sum[c] += w[c][d] panel[d] for `number` of d; unrolled where that is a constant.
template <int kRows, int kVectors>
SAFETYLOCK_KERNEL void steps(const float* w, const float* panel, std::int64_t number,
                             Lanes (&sum)[kRows][kVectors]) {
  constexpr int kLineVectors = 16 / kLanes;
#pragma GCC unroll 4
  for (std::int64_t d = 0; d < number; ++d) {
    Lanes x[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const float* const from = panel + (d * kVectors + v) * kLanes;
      std::memcpy(&x[v], from, sizeof x[v]);
      // The processor is late to see that a panel is a stream.
      if (v % kLineVectors == 0) __builtin_prefetch(from + kSteps * kVectors * kLanes);
    }
#pragma GCC unroll 16
    for (int c = 0; c < kRows; ++c) {
      const float value = w[c * kWideStride + d];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[c][v] += value * x[v];
    }
  }
}

/// sums[c][row] = sum over d of w[c][d] panel[d][row], or that much more.
template <int kRows, int kVectors>
SAFETYLOCK_KERNEL void tile(const float* w, const float* panel, std::int64_t depth, bool more,
                            RowsAhead& ahead, float* sums) {
  Lanes sum[kRows][kVectors] = {};
  if (more) {
#pragma GCC unroll 16
    for (int c = 0; c < kRows; ++c) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v)
        std::memcpy(&sum[c][v], sums + (c * kVectors + v) * kLanes, sizeof sum[c][v]);
    }
  }
  std::int64_t d = 0;
  for (; d + kSteps <= depth; d += kSteps) {
    ahead.step();
    steps(w + d, panel + d * kVectors * kLanes, kSteps, sum);
  }
  steps(w + d, panel + d * kVectors * kLanes, depth - d, sum);
#pragma GCC unroll 16
  for (int c = 0; c < kRows; ++c) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      std::memcpy(sums + (c * kVectors + v) * kLanes, &sum[c][v], sizeof sum[c][v]);
  }
}

/// Sums [columns][kVectors * kLanes], with the bias, rounded, to rows of y from `row` and `column` on.
template <int kVectors, typename T>
SAFETYLOCK_KERNEL void write(const ToRows<T>& to, const float* sums, std::int64_t row, std::int64_t column,
                             std::int64_t columns) {
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t first = row + v * kLanes, rows = std::min<std::int64_t>(kLanes, to.rows - first);
    for (std::int64_t c = 0; c < columns; c += kLanes) {
      const std::int64_t some = std::min<std::int64_t>(kLanes, columns - c);
      Lanes block[kLanes];
#pragma GCC unroll 16
      for (std::int64_t i = 0; i < kLanes; ++i) {
        // Columns beyond are never written: any will do.
        const std::int64_t one = std::min(i, some - 1);
        std::memcpy(&block[i], sums + ((c + one) * kVectors + v) * kLanes, sizeof block[i]);
        if (to.bias != nullptr) block[i] += widened(to.bias[column + c + one]);
      }
      transpose(block);
      T* const y = to.y + first * to.out + column + c;
      if (rows == kLanes && some == kLanes) {
#pragma GCC unroll 16
        for (int r = 0; r < kLanes; ++r) store_some(block[r], kLanes, y + r * to.out);
      } else {
        for (std::int64_t r = 0; r < rows; ++r) store_some(block[r], some, y + r * to.out);
      }
    }
  }
}

/// Each lane to the nearest value of T.
template <typename T>
SAFETYLOCK_KERNEL void round_to(Lanes& x) {
  if constexpr (std::is_same_v<T, at::BFloat16>) {
    using Bits = std::uint32_t __attribute__((vector_size(sizeof(Lanes))));
    const auto bits = std::bit_cast<Bits>(x);
    const Bits nearest = (bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U;
    x = std::bit_cast<Lanes>(x != x ? Bits{} + 0x7fc00000U : nearest);
  } else if constexpr (std::is_same_v<T, at::Half>) {
    round_to_half(x);
  }
}

/// act(gate) * up of n values, a whole number of vectors, each rounded to T.
template <typename T>
SAFETYLOCK_KERNEL void gate(const float* gates, const float* ups, std::int64_t n, bool gelu, float* to) {
  for (std::int64_t i = 0; i < n; i += kLanes) {
    Lanes x, up;
    std::memcpy(&x, gates + i, sizeof x);
    std::memcpy(&up, ups + i, sizeof up);
    round_to<T>(x);
    round_to<T>(up);
    Lanes e = -(gelu ? kTwiceRootOfTwoOverPi * (x + kCubicPart * x * x * x) : x);
    e = e > 87.0F ? Lanes{} + 87.0F : e;
    exponential(e);
    x = x / (1.0F + e);
    round_to<T>(x);
    x *= up;
    round_to<T>(x);
    std::memcpy(to + i, &x, sizeof x);
  }
}

/// Sums of kRows / 2 columns of the gate and the same of up to the panels of the next product.
template <int kRows, int kVectors, typename T>
SAFETYLOCK_KERNEL void gate_group(const ToGated<T>& to, float* sums, std::int64_t row, std::int64_t column) {
  constexpr std::int64_t kWidth = kVectors * kLanes, kHalf = kRows / 2 * kWidth;
  if (to.bias != nullptr) {
    for (std::int64_t i = 0; i < 2 * kHalf; ++i)
      sums[i] += widened(to.bias[column + i / kWidth + (i < kHalf ? 0 : to.features - kRows / 2)]);
  }
  float* const gated = to.panels + row * to.features + column * kWidth;
  gate<T>(sums, sums + kHalf, kHalf, to.gelu, gated);
}

template <typename Span>
SAFETYLOCK_KERNEL RowsAhead rows_ahead(const Span& s, std::int64_t column, std::int64_t k,
                                       std::int64_t depth) {
  const std::int64_t panels = (s.rows + 2 * kLanes - 1) / (2 * kLanes);
  const std::int64_t end = std::min(column + kColumns / Span::kRowsEach, s.end);
  RowsAhead ahead(depth * static_cast<std::int64_t>(sizeof *s.weight), (end - column) * Span::kRowsEach,
                  panels * ((depth + kSteps - 1) / kSteps));
  for (std::int64_t which = 0; which < Span::kRowsEach; ++which) {
    for (std::int64_t c = column; c < end; ++c) ahead.add(s.weight + (c + which * s.second) * s.in + k);
  }
  return ahead;
}

/// The rows of a panel from `row` on against the kRows rows of W in s.wide, of which there are those of a
/// `depth` from k on.
template <int kRows, int kVectors, typename Span>
SAFETYLOCK_KERNEL void panel(const Span& s, std::int64_t row, std::int64_t column, std::int64_t k,
                             std::int64_t depth, RowsAhead& ahead) {
  constexpr std::int64_t kWidth = kVectors * kLanes;
  float* const sums = s.sums + ((s.end - s.begin) * row + (column - s.begin) * kWidth) * Span::kRowsEach;
  tile<kRows, kVectors>(s.wide, s.panels + row * s.in + k * kWidth, depth, k > 0, ahead, sums);
  if constexpr (Span::kRowsEach == 2) {
    if (k + depth == s.in) gate_group<kRows, kVectors>(s.to, sums, row, column);
  }
}

/// All panels.
template <int kRows, typename Span>
SAFETYLOCK_KERNEL void group(const Span& s, std::int64_t column, std::int64_t k, std::int64_t depth) {
  RowsAhead ahead = rows_ahead(s, column + kRows / Span::kRowsEach, k, depth);
  for (std::int64_t row = 0; row < s.rows; row += 2 * kLanes) {
    if (s.rows - row > kLanes) {
      panel<kRows, 2>(s, row, column, k, depth, ahead);
    } else {
      panel<kRows, 1>(s, row, column, k, depth, ahead);
    }
  }
}

template <int kMost, typename Span>
SAFETYLOCK_KERNEL void some_columns(const Span& s, std::int64_t columns, std::int64_t column, std::int64_t k,
                                    std::int64_t depth) {
  if constexpr (kMost > 0) {
    if (columns == kMost) {
      group<kMost * Span::kRowsEach>(s, column, k, depth);
    } else {
      some_columns<kMost - 1>(s, columns, column, k, depth);
    }
  }
}

/// All rows in the columns of s. Part of the depth by part: the panels' part stays in the second-level cache,
/// and W's, widened, in the first.
template <typename Span>
SAFETYLOCK_KERNEL_ENTRY void span_columns(const Span& s) {
  constexpr std::int64_t kEach = kColumns / Span::kRowsEach;
  for (std::int64_t k = 0; k < s.in; k += s.part) {
    const std::int64_t depth = std::min(s.part, s.in - k);
    for (std::int64_t column = s.begin; column < s.end; column += kEach) {
      const std::int64_t columns = std::min(kEach, s.end - column);
      for (std::int64_t c = 0; c < columns; ++c) {
        for (std::int64_t which = 0; which < Span::kRowsEach; ++which) {
          widen(s.weight + (column + c + which * s.second) * s.in + k, depth,
                s.wide + (c + which * columns) * kWideStride);
        }
      }
      some_columns<kEach>(s, columns, column, k, depth);
    }
  }
  if constexpr (Span::kRowsEach == 1) {
    const std::int64_t columns = s.end - s.begin;
    for (std::int64_t row = 0; row < s.rows; row += 2 * kLanes) {
      if (s.rows - row > kLanes) {
        write<2>(s.to, s.sums + row * columns, row, s.begin, columns);
      } else {
        write<1>(s.to, s.sums + row * columns, row, s.begin, columns);
      }
    }
  }
}
