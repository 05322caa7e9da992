// The kernels' text, included once for each instruction set by row_kernels.cpp (hence no include guard),
// which defines SAFETYLOCK_KERNEL, the attributes of every function here, and kLanes, 4 or 8.

using Lanes = double __attribute__((vector_size(8 * kLanes)));
using Bits = std::int64_t __attribute__((vector_size(8 * kLanes)));

SAFETYLOCK_KERNEL void load(const double* from, Lanes& out) {
  std::memcpy(&out, from, sizeof out);
}
SAFETYLOCK_KERNEL void store(const Lanes& value, double* to) {
  std::memcpy(to, &value, sizeof value);
}
SAFETYLOCK_KERNEL double sum(const Lanes& v) {
  const double first = (v[0] + v[2]) + (v[1] + v[3]);
  if constexpr (kLanes == 4) return first;
  return first + ((v[kLanes - 4] + v[kLanes - 2]) + (v[kLanes - 3] + v[kLanes - 1]));
}

/// The sums of four vectors: two shuffles and an addition for two of them at a time.
template <typename V>
SAFETYLOCK_KERNEL void store_sums(const V (&v)[4], double offset, double* to) {
  using Four = double __attribute__((vector_size(32)));
  Four four;
  if constexpr (sizeof(V) == sizeof(Four)) {
    const V ab =
        __builtin_shufflevector(v[0], v[1], 0, 4, 2, 6) + __builtin_shufflevector(v[0], v[1], 1, 5, 3, 7);
    const V cd =
        __builtin_shufflevector(v[2], v[3], 0, 4, 2, 6) + __builtin_shufflevector(v[2], v[3], 1, 5, 3, 7);
    four = __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  } else {
    const V ab = __builtin_shufflevector(v[0], v[1], 0, 8, 2, 10, 4, 12, 6, 14) +
                 __builtin_shufflevector(v[0], v[1], 1, 9, 3, 11, 5, 13, 7, 15);
    const V cd = __builtin_shufflevector(v[2], v[3], 0, 8, 2, 10, 4, 12, 6, 14) +
                 __builtin_shufflevector(v[2], v[3], 1, 9, 3, 11, 5, 13, 7, 15);
    const V all = __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) +
                  __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
    four = __builtin_shufflevector(all, all, 0, 1, 2, 3) + __builtin_shufflevector(all, all, 4, 5, 6, 7);
  }
  four += offset;
  std::memcpy(to, &four, sizeof four);
}

// Several rows at a time, so that w (or out) is loaded once for all of them.
template <std::int64_t kRows>
SAFETYLOCK_KERNEL void multiply_some(const RowView& rows, std::int64_t i, const double* w, double offset,
                                     double* out) {
  const double* x[kRows];
  for (std::int64_t r = 0; r < kRows; ++r) x[r] = rows.row(i + r);
  const std::int64_t dim = rows.dim;
  Lanes s[kRows] = {};
  for (std::int64_t j = 0; j < dim; j += kLanes) {
    Lanes wj, xj;
    load(w + j, wj);
    for (std::int64_t r = 0; r < kRows; ++r) {
      load(x[r] + j, xj);
      s[r] += xj * wj;
    }
  }
  if constexpr (kRows == 4) {
    store_sums(s, offset, out + i);
  } else {
    for (std::int64_t r = 0; r < kRows; ++r) out[i + r] = sum(s[r]) + offset;
  }
}

template <std::int64_t kRows>
SAFETYLOCK_KERNEL void accumulate_some(const RowView& rows, std::int64_t i, const double* weights,
                                       double* out) {
  const double* x[kRows];
  double c[kRows];
  for (std::int64_t r = 0; r < kRows; ++r) {
    x[r] = rows.row(i + r);
    c[r] = weights[i + r];
  }
  const std::int64_t dim = rows.dim;
  for (std::int64_t j = 0; j < dim; j += kLanes) {
    Lanes s, xj;
    load(out + j, s);
    for (std::int64_t r = 0; r < kRows; ++r) {
      load(x[r] + j, xj);
      s += c[r] * xj;
    }
    store(s, out + j);
  }
}

// A tile of kTileRows x kTileColumns entries takes eight registers.
constexpr std::int64_t kTileColumns = 8, kTileVectors = kTileColumns / kLanes, kTileRows = kLanes;

SAFETYLOCK_KERNEL void gram_tile(const RowView& rows, const double* weights, std::int64_t j, std::int64_t k,
                                 double* out, std::int64_t stride) {
  Lanes s[kTileRows][kTileVectors];
  for (int a = 0; a < kTileRows; ++a) {
    for (int b = 0; b < kTileVectors; ++b) load(out + (j + a) * stride + k + b * kLanes, s[a][b]);
  }
  for (std::int64_t i = 0; i < rows.count(); ++i) {
    const double* x = rows.row(i);
    Lanes xk[kTileVectors];
    for (int b = 0; b < kTileVectors; ++b) {
      load(x + k + b * kLanes, xk[b]);
      xk[b] *= weights[i];
    }
    for (int a = 0; a < kTileRows; ++a) {
      for (int b = 0; b < kTileVectors; ++b) s[a][b] += x[j + a] * xk[b];
    }
  }
  for (int a = 0; a < kTileRows; ++a) {
    for (int b = 0; b < kTileVectors; ++b) store(s[a][b], out + (j + a) * stride + k + b * kLanes);
  }
}

SAFETYLOCK_KERNEL void multiply(const RowView& rows, const double* w, double offset, double* out) {
  std::int64_t i = 0;
  for (; i + 4 <= rows.count(); i += 4) multiply_some<4>(rows, i, w, offset, out);
  for (; i < rows.count(); ++i) multiply_some<1>(rows, i, w, offset, out);
}

SAFETYLOCK_KERNEL void accumulate(const RowView& rows, const double* weights, double* out) {
  std::int64_t i = 0;
  for (; i + 4 <= rows.count(); i += 4) accumulate_some<4>(rows, i, weights, out);
  for (; i < rows.count(); ++i) accumulate_some<1>(rows, i, weights, out);
}

SAFETYLOCK_KERNEL void squares(const RowView& rows, const double* centre, double* out) {
  for (std::int64_t i = 0; i < rows.count(); ++i) {
    const double* x = rows.row(i);
    for (std::int64_t j = 0; j < rows.dim; j += kLanes) {
      Lanes s, d, c;
      load(out + j, s);
      load(x + j, d);
      load(centre + j, c);
      d -= c;
      s += d * d;
      store(s, out + j);
    }
  }
}

SAFETYLOCK_KERNEL void gram(const RowView& rows, const double* weights, double* out, std::int64_t stride) {
  constexpr std::int64_t kBlock = 16;  // rows that stay in the first-level cache while all tiles use them
  for (std::int64_t i = 0; i < rows.count(); i += kBlock) {
    const RowView block = rows.slice(i, rows.count() - i < kBlock ? rows.count() - i : kBlock);
    for (std::int64_t j = 0; j < rows.dim; j += kTileRows) {
      for (std::int64_t k = 0; k < j + kTileRows; k += kTileColumns)
        gram_tile(block, weights + i, j, k, out, stride);
    }
  }
}

SAFETYLOCK_KERNEL double dot(const double* a, const double* b, std::int64_t n) {
  Lanes s = {}, x, y;
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    load(a + i, x);
    load(b + i, y);
    s += x * y;
  }
  double rest = 0;
  for (; i < n; ++i) rest += a[i] * b[i];
  return sum(s) + rest;
}

// exp(x) for |x| <= 708: x = k ln 2 + r with |r| <= ln 2 / 2, Taylor's series of r to degree 13, 2^k put
// together from bits.
SAFETYLOCK_KERNEL void exponential(const Lanes& x, Lanes& out) {
  constexpr double kLog2e = 1.4426950408889634, kLn2High = 0.6931471803691238,
                   kLn2Low = 1.9082149292705877e-10;
  constexpr double kRounder =
      6755399441055744.0;  // 1.5 * 2^52: what is added to it is rounded to a whole number
  constexpr double kCoefficients[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
      1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
  const Lanes shifted = x * kLog2e + kRounder;
  const Lanes k = shifted - kRounder;
  const Lanes r = (x - k * kLn2High) - k * kLn2Low;
  Lanes series = {};
  series += kCoefficients[0];
  for (size_t i = 1; i < std::size(kCoefficients); ++i) series = series * r + kCoefficients[i];
  Bits bits, one;
  std::memcpy(&bits, &shifted, sizeof bits);
  const Lanes ones = Lanes{} + 1.0;
  std::memcpy(&one, &ones, sizeof one);
  bits = (bits << 52) + one;
  Lanes power;
  std::memcpy(&power, &bits, sizeof power);
  out = series * power;
}

SAFETYLOCK_KERNEL void sigmoids(const double* z, std::int64_t n, double* out) {
  double rest[kLanes] = {};
  for (std::int64_t i = 0; i < n; i += kLanes) {
    const bool whole = i + kLanes <= n;
    if (!whole) std::copy(z + i, z + n, rest);
    Lanes x, e;
    load(whole ? z + i : rest, x);
    x = x > 708.0 ? Lanes{} + 708.0 : x;
    x = x < -708.0 ? Lanes{} - 708.0 : x;
    exponential(-x, e);
    const Lanes p = 1.0 / (1.0 + e);
    if (whole) {
      store(p, out + i);
    } else {
      store(p, rest);
      std::copy(rest, rest + (n - i), out + i);
    }
  }
}

constexpr Kernels kKernels = {multiply, accumulate, squares, gram, dot, sigmoids};
