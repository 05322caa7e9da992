// The kernel's text, included once for each instruction set by cpu_linear.cpp (hence no include guard),
// which defines SAFETYLOCK_KERNEL, the attributes of every function here; Lanes, eight or sixteen floats, and
// kLanes; load(), which widens kLanes values; and kTileRows, how many rows of x the registers hold beside
// four rows of W.

/// The upper half of sixteen added to the lower one.
template <typename V>
SAFETYLOCK_KERNEL Eight fold(const V& v) {
  if constexpr (sizeof(V) == sizeof(Eight)) {
    return v;
  } else {
    return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
           __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  }
}
SAFETYLOCK_KERNEL void store(const Four& values, float* to) {
  std::memcpy(to, &values, sizeof values);
}
SAFETYLOCK_KERNEL void store(const Four& values, at::Half* to) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<at::Half>(values[i]);
}
/// As rounded() does one by one, which cost a twentieth of the speed of sixteen rows.
SAFETYLOCK_KERNEL void store(const Four& values, at::BFloat16* to) {
  const auto bits = std::bit_cast<FourBits>(values);
  const FourBits nearest = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const auto halves = __builtin_convertvector(values != values ? FourBits{} + 0x7fc0U : nearest, FourHalves);
  std::memcpy(to, &halves, sizeof halves);
}

SAFETYLOCK_KERNEL void add(const float* bias, Four& to) {
  Four four;
  std::memcpy(&four, bias, sizeof four);
  to += four;
}
SAFETYLOCK_KERNEL void add(const at::Half* bias, Four& to) {
  for (int i = 0; i < 4; ++i) to[i] += static_cast<float>(bias[i]);
}
SAFETYLOCK_KERNEL void add(const at::BFloat16* bias, Four& to) {
  FourHalves halves;
  std::memcpy(&halves, bias, sizeof halves);
  to += std::bit_cast<Four>(__builtin_convertvector(halves, FourBits) << 16);
}

/// The sums of four vectors of eight.
SAFETYLOCK_KERNEL Four sums(const Eight& a, const Eight& b, const Eight& c, const Eight& d) {
  const Eight ab = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13) +
                   __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
  const Eight cd = __builtin_shufflevector(c, d, 0, 8, 1, 9, 4, 12, 5, 13) +
                   __builtin_shufflevector(c, d, 2, 10, 3, 11, 6, 14, 7, 15);
  const Eight all = __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) +
                    __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
  return __builtin_shufflevector(all, all, 0, 1, 2, 3) + __builtin_shufflevector(all, all, 4, 5, 6, 7);
}

/// kColumns (a multiple of 4) columns of y from column j for kRows rows from row i. Meanwhile kAhead rows of
/// W from `ahead` on are asked for: they are too short for the processor to see where they lead.
template <int kColumns, int kRows, int kAhead, typename T>
SAFETYLOCK_KERNEL void tile(const Product<T>& p, std::int64_t i, std::int64_t j, const T* ahead) {
  const float* const x = p.x + i * p.in;
  const T* const w = p.weight + j * p.in;
  Lanes sum[kColumns][kRows] = {};
  std::int64_t k = 0;
  for (; k + kLanes <= p.in; k += kLanes) {
    Lanes xk[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) load(x + r * p.in + k, xk[r]);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      Lanes wk;
      load(w + c * p.in + k, wk);
      if (c < kAhead) __builtin_prefetch(ahead + c * p.in + k);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[c][r] += wk * xk[r];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int c = 0; c < kColumns; c += 4) {
      Four four = sums(fold(sum[c][r]), fold(sum[c + 1][r]), fold(sum[c + 2][r]), fold(sum[c + 3][r]));
      for (std::int64_t rest = k; rest < p.in; ++rest) {
        for (int one = 0; one < 4; ++one)
          four[one] += static_cast<float>(w[(c + one) * p.in + rest]) * x[r * p.in + rest];
      }
      if (p.bias != nullptr) add(p.bias + j + c, four);
      store(four, p.y + (i + r) * p.out + j + c);
    }
  }
}

/// A column that no group of four has room for, summed in the same order.
template <typename T>
SAFETYLOCK_KERNEL void lone_column(const Product<T>& p, std::int64_t i, std::int64_t j) {
  Lanes sum = {};
  std::int64_t k = 0;
  for (; k + kLanes <= p.in; k += kLanes) {
    Lanes xk, wk;
    load(p.x + i * p.in + k, xk);
    load(p.weight + j * p.in + k, wk);
    sum += wk * xk;
  }
  const Eight folded = fold(sum);
  float total = sums(folded, folded, folded, folded)[0];
  for (; k < p.in; ++k) total += static_cast<float>(p.weight[j * p.in + k]) * p.x[i * p.in + k];
  if (p.bias != nullptr) total += static_cast<float>(p.bias[j]);
  p.y[i * p.out + j] = static_cast<T>(total);
}

/// `rows` of x, at most kRows, from row i.
template <int kRows, int kAhead, typename T>
SAFETYLOCK_KERNEL void some_rows(const Product<T>& p, std::int64_t rows, std::int64_t i, std::int64_t j,
                                 const T* ahead) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      tile<4, kRows, kAhead>(p, i, j, ahead);
    } else {
      some_rows<kRows - 1, kAhead>(p, rows, i, j, ahead);
    }
  }
}

/// All rows of y in four columns. Each tile of rows asks for its share of the next four rows of W: all asked
/// for at once, they would wait for each other.
template <typename T>
SAFETYLOCK_KERNEL void four_columns(const Product<T>& p, std::int64_t j) {
  const T* const next = p.weight + (j + 4) * p.in;
  const std::int64_t tiles = (p.rows + kTileRows - 1) / kTileRows;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::int64_t i = t * kTileRows, rows = std::min<std::int64_t>(kTileRows, p.rows - i),
                       first = 4 * t / tiles, asked = 4 * (t + 1) / tiles - first;
    const T* const ahead = next + first * p.in;
    if (asked == 0) {
      some_rows<kTileRows, 0>(p, rows, i, j, ahead);
    } else if (asked == 1) {
      some_rows<kTileRows, 1>(p, rows, i, j, ahead);
    } else if (asked == 2) {
      some_rows<kTileRows, 2>(p, rows, i, j, ahead);
    } else {
      some_rows<kTileRows, 4>(p, rows, i, j, ahead);
    }
  }
}

/// All rows of y in columns [begin, end).
template <typename T>
SAFETYLOCK_KERNEL_ENTRY void columns(const Product<T>& p, std::int64_t begin, std::int64_t end) {
  std::int64_t j = begin;
  // A single row or two leave registers free: more rows of W at once hide more of the memory's delay.
  for (; p.rows == 1 && j + 8 <= end; j += 8) tile<8, 1, 8>(p, 0, j, p.weight + (j + 8) * p.in);
  for (; p.rows == 2 && kLanes == 16 && j + 8 <= end; j += 8)
    tile<8, 2, 8>(p, 0, j, p.weight + (j + 8) * p.in);
  for (; j + 4 <= end; j += 4) four_columns(p, j);
  for (; j < end; ++j) {
    for (std::int64_t i = 0; i < p.rows; ++i) lone_column(p, i, j);
  }
}
