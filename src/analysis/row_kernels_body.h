// The kernels' text, included once for each instruction set by row_kernels.cpp (hence no include guard),
// which defines SAFETYLOCK_KERNEL: the attributes of every function here.

SAFETYLOCK_KERNEL void load(const double* from, Lanes& out) {
  std::memcpy(&out, from, sizeof out);
}
SAFETYLOCK_KERNEL void store(const Lanes& value, double* to) {
  std::memcpy(to, &value, sizeof value);
}
SAFETYLOCK_KERNEL double sum(const Lanes& v) {
  return (v[0] + v[2]) + (v[1] + v[3]);
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
  for (std::int64_t r = 0; r < kRows; ++r) out[i + r] = sum(s[r]) + offset;
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

// One tile of 4 x 8 entries.
SAFETYLOCK_KERNEL void gram_tile(const RowView& rows, const double* weights, std::int64_t j, std::int64_t k,
                                 double* out, std::int64_t stride) {
  Lanes s[4][2];
  for (int a = 0; a < 4; ++a) {
    for (int b = 0; b < 2; ++b) load(out + (j + a) * stride + k + b * kLanes, s[a][b]);
  }
  for (std::int64_t i = 0; i < rows.count(); ++i) {
    const double* x = rows.row(i);
    Lanes xk[2];
    for (int b = 0; b < 2; ++b) {
      load(x + k + b * kLanes, xk[b]);
      xk[b] *= weights[i];
    }
    for (int a = 0; a < 4; ++a) {
      for (int b = 0; b < 2; ++b) s[a][b] += x[j + a] * xk[b];
    }
  }
  for (int a = 0; a < 4; ++a) {
    for (int b = 0; b < 2; ++b) store(s[a][b], out + (j + a) * stride + k + b * kLanes);
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
    for (std::int64_t j = 0; j < rows.dim; j += 4) {
      for (std::int64_t k = 0; k < j + 4; k += 2 * kLanes) gram_tile(block, weights + i, j, k, out, stride);
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

constexpr Kernels kKernels = {multiply, accumulate, squares, gram, dot};
