#include "model/kernels/panel_product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "model/kernels/cpu_clones.h"
#include "model/kernels/gated_lanes.h"
#include "model/kernels/kernel_attributes.h"
#include "model/kernels/lane_transpose.h"
#include "model/kernels/line_buffer.h"
#include "model/kernels/shares.h"

// As in cpu_linear.cpp: everything that passes vectors is inlined, and GCC bug 105593.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace safetylock {
namespace {

/// Rows whose panels stay in the second-level cache, a part of the depth at a time.
constexpr std::int64_t kRowsAtOnce = 512;
/// The largest part of the depth: so much of a group's rows of W stays in the first-level cache. Their
/// distance there is a little more, for fewer of them to compete for the same places.
constexpr std::int64_t kDeepest = 640, kWideStride = kDeepest + 16;
/// Columns that make, in float32, whole cache lines of y; and how many times as many a thread takes at most
/// at once: many share a fetch of a part of the panels, and a row of y that is written.
constexpr std::int64_t kSpan = 48, kMostSpans = 4;
/// Of the instruction sets' kColumns and kLanes.
constexpr std::int64_t kMostColumns = 12, kMostLanes = 16;

template <typename T>
struct ToRows {
  T* y;           // [rows, out]
  const T* bias;  // [out] or null
  std::int64_t rows, out;

  ToRows from(std::int64_t row, std::int64_t number) const {
    return {.y = y + row * out, .bias = bias, .rows = number, .out = out};
  }
};

template <typename T>
struct ToGated {
  float* panels;  // of [rows, features]
  const T* bias;  // [2 features] or null
  std::int64_t features;
  bool gelu;

  ToGated from(std::int64_t row, std::int64_t) const {
    return {.panels = panels + row * features, .bias = bias, .features = features, .gelu = gelu};
  }
};

/// Some columns of a product, each made of `each` rows of W.
template <typename T, typename To, int each>
struct Span {
  static constexpr int kRowsEach = each;
  const T* weight;  // [.., in]
  std::int64_t in;
  const float* panels;  // a panel [in][rows of it] after the other
  std::int64_t rows;
  To to;
  std::int64_t second = 0;  // rows from a column's first row of W to its second
  std::int64_t part = 0;    // of `in`, at once
  std::int64_t begin = 0, end = 0;
  float* wide = nullptr;  // room for kColumns * kWideStride
  float* sums = nullptr;  // room for those of all rows and columns

  /// The same for some rows, from a whole panel on.
  Span from(std::int64_t row, std::int64_t number) const {
    Span some = *this;
    some.panels += row * in;
    some.rows = number;
    some.to = to.from(row, number);
    return some;
  }
};

template <typename T>
using RowsSpan = Span<T, ToRows<T>, 1>;
template <typename T>
using GatedSpan = Span<T, ToGated<T>, 2>;

/// Asks for the rows of W that the next columns need, a few lines at a time and in their order in memory:
/// then the processor sees the stream, and goes on by itself.
class RowsAhead {
 public:
  /// So many rows, which `add` names, all of them within so many steps.
  RowsAhead(std::int64_t row_bytes, std::int64_t rows, std::int64_t steps)
      : row_bytes_(row_bytes), lines_((rows * ((row_bytes + kLine - 1) / kLine) + steps - 1) / steps) {}
  void add(const void* row) { rows_[static_cast<size_t>(number_++)] = static_cast<const char*>(row); }

  /// (By hand, as g++ 12 takes functions that do nothing but __builtin_prefetch to have no effect.)
  SAFETYLOCK_INLINE void step() {
#if defined(__x86_64__)
    for (std::int64_t i = 0; i < lines_ && row_ < number_; ++i) {
      asm volatile("prefetcht1 %0" : : "m"(rows_[static_cast<size_t>(row_)][at_]));
      at_ += kLine;
      if (at_ >= row_bytes_) {
        at_ = 0;
        ++row_;
      }
    }
#endif
  }

 private:
  static constexpr std::int64_t kLine = 64;
  std::array<const char*, kMostColumns> rows_;
  std::int64_t row_bytes_, lines_, number_ = 0, row_ = 0, at_ = 0;
};

namespace portable {
#define SAFETYLOCK_ATTRIBUTES
constexpr int kLanes = 8, kColumns = 2;
using Lanes = float __attribute__((vector_size(32)));
SAFETYLOCK_KERNEL void round_to_half(Lanes& x) {
  for (int i = 0; i < kLanes; ++i) x[i] = as<at::Half>(x[i]);
}
#include "model/kernels/panel_product_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
#define SAFETYLOCK_ATTRIBUTES SAFETYLOCK_FOR_AVX2
constexpr int kLanes = 8, kColumns = 6;
using Lanes = float __attribute__((vector_size(32)));
SAFETYLOCK_KERNEL void round_to_half(Lanes& x) {
  x = _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
#include "model/kernels/panel_product_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace avx2

namespace avx512 {
#define SAFETYLOCK_ATTRIBUTES SAFETYLOCK_FOR_AVX512
constexpr int kLanes = 16, kColumns = 12;
using Lanes = float __attribute__((vector_size(64)));
SAFETYLOCK_KERNEL void round_to_half(Lanes& x) {
  x = _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
#include "model/kernels/panel_product_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace avx512
#endif

template <typename T>
struct Kernels {
  std::int64_t lanes;
  void (*pack)(const T*, std::int64_t rows, std::int64_t depth, float*);
  void (*rows)(const RowsSpan<T>&);
  void (*gated)(const GatedSpan<T>&);
};

template <typename T>
Kernels<T> kernels_of(InstructionSet set) {
#if defined(__x86_64__)
  if (set >= InstructionSet::avx512)
    return {avx512::kLanes, avx512::pack_panel<T>, avx512::span_columns<RowsSpan<T>>,
            avx512::span_columns<GatedSpan<T>>};
  if (set == InstructionSet::avx2)
    return {avx2::kLanes, avx2::pack_panel<T>, avx2::span_columns<RowsSpan<T>>,
            avx2::span_columns<GatedSpan<T>>};
#endif
  return {portable::kLanes, portable::pack_panel<T>, portable::span_columns<RowsSpan<T>>,
          portable::span_columns<GatedSpan<T>>};
}

/// Rows of x as panels, on all threads.
template <typename T>
void pack_rows(const Kernels<T>& kernels, const T* x, std::int64_t rows, std::int64_t depth, float* panels) {
  const std::int64_t width = 2 * kernels.lanes;
  const std::int64_t grain = std::max<std::int64_t>(1, kWorkPerThread / (width * depth));
  at::parallel_for(0, (rows + width - 1) / width, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin * width; row < std::min(end * width, rows); row += width)
      kernels.pack(x + row * depth, std::min(width, rows - row), depth, panels + row * depth);
  });
}

/// Columns [0, out) of s, on as many threads as they are worth. Every thread takes the next columns when it
/// is done with some, first of its own rows: what becomes of these stays in its cache.
template <typename S>
void all_columns(void (*run)(const S&), S s, std::int64_t out) {
  const std::int64_t threads =
      std::min<std::int64_t>(at::get_num_threads(), S::kRowsEach * out * s.in * s.rows / kWorkPerThread + 1);
  const RowParts parts(s.rows, 2 * kMostLanes, threads);
  s.part = even_part(s.in, kDeepest, 16);
  Shares shares((out + kSpan - 1) / kSpan, threads, kMostSpans, parts.number());
  at::parallel_for(0, threads, 1, [&](std::int64_t thread, std::int64_t) {
    static thread_local LineBuffer<float> wide, sums;
    const auto take = [&] { return shares.take(parts.of_thread(thread)); };
    for (Shares::Share share = take(); share.number > 0; share = take()) {
      const std::int64_t row = parts.begin(share.part);
      S mine = s.from(row, parts.begin(share.part + 1) - row);
      mine.wide = wide.reserve(kMostColumns * kWideStride);
      mine.sums = sums.reserve(kMostSpans * kSpan * S::kRowsEach * round_up(mine.rows, kMostLanes));
      mine.begin = share.begin * kSpan;
      mine.end = std::min(mine.begin + share.number * kSpan, out);
      run(mine);
    }
  });
}

/// Rows from `row` on of a product whose x is packed already.
template <typename T>
void multiply(const Kernels<T>& kernels, const PanelLinear<T>& p, std::int64_t row, std::int64_t rows,
              const float* panels) {
  all_columns(kernels.rows,
              RowsSpan<T>{.weight = p.weight,
                          .in = p.in,
                          .panels = panels,
                          .rows = rows,
                          .to = {.y = p.y + row * p.out, .bias = p.bias, .rows = rows, .out = p.out}},
              p.out);
}

/// f(first row, rows) for as many rows as are taken at once.
template <typename F>
void for_rows(std::int64_t rows, const F& f) {
  const std::int64_t each = even_part(rows, kRowsAtOnce, 2 * kMostLanes);
  for (std::int64_t row = 0; row < rows; row += each) f(row, std::min(each, rows - row));
}

}  // namespace

template <typename T>
void panel_linear(InstructionSet set, const PanelLinear<T>& p) {
  static thread_local LineBuffer<float> room;
  const Kernels<T> kernels = kernels_of<T>(set);
  for_rows(p.rows, [&](std::int64_t row, std::int64_t rows) {
    float* const panels = room.reserve(round_up(rows, kMostLanes) * p.in);
    pack_rows(kernels, p.x + row * p.in, rows, p.in, panels);
    multiply(kernels, p, row, rows, panels);
  });
}

template <typename T>
void panel_mlp(InstructionSet set, const PanelMlp<T>& m) {
  static thread_local LineBuffer<float> room, between;
  const Kernels<T> kernels = kernels_of<T>(set);
  const PanelLinear<T> down{.x = nullptr,
                            .weight = m.down,
                            .bias = m.bias,
                            .y = m.y,
                            .rows = m.rows,
                            .in = m.features,
                            .out = m.hidden};
  for_rows(m.rows, [&](std::int64_t row, std::int64_t rows) {
    float* const panels = room.reserve(round_up(rows, kMostLanes) * m.hidden);
    float* const gated = between.reserve(round_up(rows, kMostLanes) * m.features);
    pack_rows(kernels, m.x + row * m.hidden, rows, m.hidden, panels);
    all_columns(
        kernels.gated,
        GatedSpan<T>{.weight = m.gate_up,
                     .in = m.hidden,
                     .panels = panels,
                     .rows = rows,
                     .to = {.panels = gated, .bias = m.gate_up_bias, .features = m.features, .gelu = m.gelu},
                     .second = m.features},
        m.features);
    multiply(kernels, down, row, rows, gated);
  });
}

template void panel_linear(InstructionSet, const PanelLinear<float>&);
template void panel_linear(InstructionSet, const PanelLinear<at::BFloat16>&);
template void panel_linear(InstructionSet, const PanelLinear<at::Half>&);
template void panel_mlp(InstructionSet, const PanelMlp<float>&);
template void panel_mlp(InstructionSet, const PanelMlp<at::BFloat16>&);
template void panel_mlp(InstructionSet, const PanelMlp<at::Half>&);

}  // namespace safetylock
