#include "model/kernels/segment_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "model/kernels/attention_block.h"
#include "model/kernels/cpu_clones.h"
#include "model/kernels/kernel_attributes.h"
#include "model/kernels/lane_transpose.h"
#include "model/kernels/scratch.h"
#include "model/kernels/shares.h"
#include "model/kernels/tile_attention.h"

// As in cpu_linear.cpp: everything that passes vectors is inlined, and GCC bug 105593.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace safetylock {
namespace {

/// Room for a block of queries beside the keys and values of its group, all in float32 with zeros up to
/// `depth` and up to a whole tile of keys.
struct FloatBlock {
  const float *keys, *values;  // [keys][depth]
  float* rows;                 // [rows][depth]: queries, and what becomes of them
  float* turned;               // [depth][rows]
  float* scores;               // [keys][rows]
  std::int64_t depth;
};

namespace portable {
#define SAFETYLOCK_ATTRIBUTES
constexpr int kLanes = 8, kTile = 2;
using Lanes = float __attribute__((vector_size(32)));
#include "model/kernels/attention_body.h"
// The kernel stands on it.
#include "model/kernels/segment_attention_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
#define SAFETYLOCK_ATTRIBUTES SAFETYLOCK_FOR_AVX2
constexpr int kLanes = 8, kTile = 4;
using Lanes = float __attribute__((vector_size(32)));
#include "model/kernels/attention_body.h"
// The kernel stands on it.
#include "model/kernels/segment_attention_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace avx2

namespace avx512 {
#define SAFETYLOCK_ATTRIBUTES SAFETYLOCK_FOR_AVX512
constexpr int kLanes = 16, kTile = 8;
using Lanes = float __attribute__((vector_size(64)));
#include "model/kernels/attention_body.h"
// The kernel stands on it.
#include "model/kernels/segment_attention_body.h"
#undef SAFETYLOCK_ATTRIBUTES
}  // namespace avx512
#endif

struct BlockKernel {
  void (*attend)(const AttentionGroup&, const FloatBlock&, std::int64_t row);
  std::int64_t rows;  // that one call takes
  std::int64_t tile;  // keys come in whole tiles
};

BlockKernel kernel_of(InstructionSet set) {
#if defined(__x86_64__)
  if (set >= InstructionSet::avx512) return {avx512::attend_block, 2 * avx512::kLanes, avx512::kTile};
  if (set == InstructionSet::avx2) return {avx2::attend_block, 2 * avx2::kLanes, avx2::kTile};
#endif
  return {portable::attend_block, 2 * portable::kLanes, portable::kTile};
}

constexpr std::int64_t kDepthUnit = 16;  // of every instruction set a whole number of vectors

std::int64_t earlier_keys(const SegmentRows& segment) {
  std::int64_t sum = 0;
  for (const KeyRows& rows : segment.earlier) sum += rows.length;
  return sum;
}

/// n values of a row to float32, with zeros up to `depth`.
template <typename T>
SAFETYLOCK_FOR_EACH_CPU void widen_row(const T* from, std::int64_t n, float* to, std::int64_t depth) {
  widen(from, n, to);
  std::fill(to + n, to + depth, 0.0F);
}

template <typename T>
SAFETYLOCK_FOR_EACH_CPU void narrow_row(const float* from, T* to, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) to[i] = rounded<T>(from[i]);
}

/// The rows that a segment sees, in order.
template <typename T>
std::vector<KeyPiece<T>> pieces_of(const KeyValues& kv, const SegmentRows& segment, std::int64_t head) {
  const std::int64_t D = kv.keys.dim();
  std::vector<KeyPiece<T>> pieces;
  const auto add = [&](const T* keys, const T* values, std::int64_t stride, std::int64_t begin,
                       std::int64_t n) {
    pieces.push_back({.keys = keys + begin * stride + head * D,
                      .values = values + begin * stride + head * D,
                      .stride = stride,
                      .n = n});
  };
  const auto fresh = [&](std::int64_t begin, std::int64_t n) {
    add(kv.keys.data<T>(), kv.values.data<T>(), kv.keys.stride(), begin, n);
  };
  for (const KeyRows& rows : segment.earlier) {
    if (rows.cached) {
      add(kv.cached_keys.const_data_ptr<T>(), kv.cached_values.const_data_ptr<T>(), kv.keys.count() * D,
          rows.begin, rows.length);
    } else {
      fresh(rows.begin, rows.length);
    }
  }
  fresh(segment.begin, segment.length);
  return pieces;
}

/// TileAttention's twin for every processor and dtype, in float32.
template <typename T>
class FloatAttention {
 public:
  using Value = T;
  explicit FloatAttention(BlockKernel kernel) : kernel_(kernel) {}

  void gather(const AttentionGroup& group, std::span<const KeyPiece<T>> pieces) {
    group_ = group;
    depth_ = round_up(group.D, kDepthUnit);
    const std::int64_t keys = round_up(group.keys(), kernel_.tile);
    keys_.resize(static_cast<size_t>(keys * depth_));
    values_.resize(keys_.size());
    scores_.resize(static_cast<size_t>(keys * kernel_.rows));
    rows_.resize(static_cast<size_t>(kernel_.rows * depth_));
    turned_.resize(rows_.size());
    std::int64_t at = 0;
    for (const KeyPiece<T>& piece : pieces) {
      for (std::int64_t i = 0; i < piece.n; ++i, at += depth_) {
        widen_row(piece.keys + i * piece.stride, group.D, keys_.data() + at, depth_);
        widen_row(piece.values + i * piece.stride, group.D, values_.data() + at, depth_);
      }
    }
    std::fill(keys_.begin() + at, keys_.end(), 0.0F);
  }

  void attend(const GroupRows<const T>& q, const GroupRows<T>& out, std::int64_t row) {
    const std::int64_t rows = std::min(kernel_.rows, group_.rows() - row);
    RowPlaces from(q, row);
    for (std::int64_t r = 0; r < rows; ++r)
      widen_row(from.next(), group_.D, rows_.data() + r * depth_, depth_);
    kernel_.attend(group_,
                   {.keys = keys_.data(),
                    .values = values_.data(),
                    .rows = rows_.data(),
                    .turned = turned_.data(),
                    .scores = scores_.data(),
                    .depth = depth_},
                   row);
    RowPlaces to(out, row);
    for (std::int64_t r = 0; r < rows; ++r) narrow_row(rows_.data() + r * depth_, to.next(), group_.D);
  }

 private:
  BlockKernel kernel_;
  AttentionGroup group_{};
  std::int64_t depth_ = 0;
  std::vector<float> keys_, values_, rows_, turned_, scores_;
};

/// A block of queries of one segment and one key/value head.
struct Task {
  std::int64_t segment, head, row;
  std::int64_t cost_before;  // of all tasks before it, in keys times blocks
};

/// All tasks, and one beyond the last.
std::vector<Task> tasks_of(std::span<const SegmentRows> segments, std::int64_t heads, std::int64_t shared,
                           std::int64_t block, std::int64_t window) {
  constexpr std::int64_t kFixedCost = 16;  // packing and the rest of a block, in keys
  std::vector<Task> tasks;
  std::int64_t cost = 0;
  for (size_t s = 0; s < segments.size(); ++s) {
    const std::int64_t earlier = earlier_keys(segments[s]), rows = segments[s].length * shared;
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t row = 0; row < rows; row += block) {
        tasks.push_back(
            {.segment = static_cast<std::int64_t>(s), .head = head, .row = row, .cost_before = cost});
        const std::int64_t keys = earlier + std::min(row + block, rows) / shared;
        cost += kFixedCost + (window > 0 ? std::min(keys, window + block / shared) : keys);
      }
    }
  }
  tasks.push_back({.segment = -1, .head = 0, .row = 0, .cost_before = cost});
  return tasks;
}

/// Each thread with an attention of its own, of `block` queries at a time.
template <typename MakeAttention>
void attend_all(const MakeAttention& make, std::int64_t block, const Heads& q, const KeyValues& kv,
                std::span<const SegmentRows> segments, std::int64_t window, ScoreRule rule,
                const at::Tensor& out) {
  const std::int64_t heads = kv.keys.count(), D = q.dim(), R = q.count() / heads;
  const std::vector<Task> tasks = tasks_of(segments, heads, R, block, window);
  // Threads take shares of the cost, not of the number: later tokens see more.
  const std::int64_t threads = at::get_num_threads(), units = 32 * threads, cost = tasks.back().cost_before;
  Shares shares(units, threads, 4);
  const auto first_of = [&](std::int64_t unit) {
    return std::lower_bound(tasks.begin(), tasks.end() - 1, unit * cost / units,
                            [](const Task& task, std::int64_t before) { return task.cost_before < before; });
  };
  at::parallel_for(0, threads, 1, [&](std::int64_t, std::int64_t) {
    auto attention = make();
    using T = typename decltype(attention)::Value;
    std::int64_t segment = -1, head = -1;
    const auto attend = [&](const Task& task) {
      const SegmentRows& rows = segments[static_cast<size_t>(task.segment)];
      if (task.segment != segment || task.head != head) {
        segment = task.segment;
        head = task.head;
        attention.gather({.tokens = rows.length,
                          .R = R,
                          .D = D,
                          .earlier = earlier_keys(rows),
                          .window = window,
                          .rule = rule},
                         pieces_of<T>(kv, rows, head));
      }
      const std::int64_t first = head * R * D;
      attention.attend(
          GroupRows<const T>{
              .first = q.data<T>() + rows.begin * q.stride() + first, .stride = q.stride(), .R = R, .D = D},
          GroupRows<T>{.first = out.mutable_data_ptr<T>() + rows.begin * out.stride(0) + first,
                       .stride = out.stride(0),
                       .R = R,
                       .D = D},
          task.row);
    };
    for (Shares::Share share = shares.take(); share.number > 0; share = shares.take()) {
      const auto end = first_of(share.begin + share.number);
      for (auto task = first_of(share.begin); task != end; ++task) attend(*task);
    }
  });
}

}  // namespace

at::Tensor segment_attention_with(InstructionSet set, const Heads& q, const KeyValues& kv,
                                  std::span<const SegmentRows> segments, std::int64_t window,
                                  ScoreRule rule) {
  const at::Tensor out = scratch({q.rows(), q.count(), q.dim()}, q.options());
#if defined(SAFETYLOCK_TILES)
  if (set == InstructionSet::amx && q.dtype() == at::kBFloat16) {
    attend_all([] { return TileAttention(); }, TileAttention::kRows, q, kv, segments, window, rule, out);
    return out;
  }
#endif
  const BlockKernel kernel = kernel_of(set);
  with_type(q.dtype(), [&]<typename T>() {
    attend_all([&] { return FloatAttention<T>(kernel); }, kernel.rows, q, kv, segments, window, rule, out);
  });
  return out;
}

at::Tensor segment_attention(const Heads& q, const KeyValues& kv, std::span<const SegmentRows> segments,
                             std::int64_t window, ScoreRule rule) {
  return segment_attention_with(best_instruction_set(), q, kv, segments, window, rule);
}

}  // namespace safetylock
