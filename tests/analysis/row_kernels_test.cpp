// Each kernel against loops that say what it means.
#include "analysis/row_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace safetylock {
namespace {

double wave(std::int64_t i) {
  return std::sin(0.37 * static_cast<double>(i)) + 0.01 * static_cast<double>(i % 7);
}

struct Rows {
  Rows(std::int64_t n, std::int64_t dim)
      : values(static_cast<size_t>(2 * n * dim)), index(static_cast<size_t>(n)) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = wave(static_cast<std::int64_t>(i));
    for (size_t i = 0; i < index.size(); ++i) index[i] = static_cast<std::int64_t>(2 * i + i % 2);
    view = {values.data(), index, dim};
  }
  double at(std::int64_t i, std::int64_t j) const { return view.row(i)[j]; }

  std::vector<double> values;
  std::vector<std::int64_t> index;
  RowView view;
};

class RowKernels : public testing::TestWithParam<std::pair<std::int64_t, std::int64_t>> {
 protected:
  const std::int64_t n = GetParam().first, dim = GetParam().second;
  const Rows rows{n, dim};
  std::vector<double> ramp(std::int64_t count) const {
    std::vector<double> v(static_cast<size_t>(count));
    for (size_t i = 0; i < v.size(); ++i) v[i] = wave(static_cast<std::int64_t>(3 * i + 1));
    return v;
  }
};

TEST_P(RowKernels, Multiply) {
  const std::vector<double> w = ramp(dim);
  std::vector<double> out(static_cast<size_t>(n));
  multiply_rows(rows.view, w.data(), 0.25, out.data());
  for (std::int64_t i = 0; i < n; ++i) {
    double expected = 0.25;
    for (std::int64_t j = 0; j < dim; ++j) expected += rows.at(i, j) * w[static_cast<size_t>(j)];
    EXPECT_NEAR(out[static_cast<size_t>(i)], expected, 1e-12) << i;
  }
}

TEST_P(RowKernels, AccumulateAndSquares) {
  const std::vector<double> weights = ramp(n), centre = ramp(dim);
  std::vector<double> sums = ramp(dim), squares = ramp(dim);
  accumulate_rows(rows.view, weights.data(), sums.data());
  accumulate_squares(rows.view, centre.data(), squares.data());
  for (std::int64_t j = 0; j < dim; ++j) {
    const auto c = static_cast<size_t>(j);
    double sum = ramp(dim)[c], square = ramp(dim)[c];
    for (std::int64_t i = 0; i < n; ++i) {
      sum += weights[static_cast<size_t>(i)] * rows.at(i, j);
      square += (rows.at(i, j) - centre[c]) * (rows.at(i, j) - centre[c]);
    }
    EXPECT_NEAR(sums[c], sum, 1e-12);
    EXPECT_NEAR(squares[c], square, 1e-12);
  }
}

TEST_P(RowKernels, GramsLowerTriangle) {
  const std::vector<double> weights = ramp(n);
  const std::int64_t stride = dim + 1;
  std::vector<double> out(static_cast<size_t>(stride * stride), 0.5);
  accumulate_gram(rows.view, weights.data(), out.data(), stride);
  for (std::int64_t j = 0; j < stride; ++j) {
    for (std::int64_t k = 0; k <= j; ++k) {
      double expected = 0.5;  // the last row and column are not this kernel's
      for (std::int64_t i = 0; j < dim && i < n; ++i)
        expected += weights[static_cast<size_t>(i)] * rows.at(i, j) * rows.at(i, k);
      EXPECT_NEAR(out[static_cast<size_t>(j * stride + k)], expected, 1e-11) << j << ", " << k;
    }
    EXPECT_EQ(out[static_cast<size_t>(j * stride + dim)], 0.5);
  }
}

TEST_P(RowKernels, DotProduct) {
  for (const std::int64_t length : {dim, dim + 3, std::int64_t{1}}) {
    const std::vector<double> a = ramp(length);
    EXPECT_NEAR(dot_product(a.data(), a.data(), length),
                std::inner_product(a.begin(), a.end(), a.begin(), 0.0), 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, RowKernels,
                         testing::Values(std::pair(1, 8), std::pair(3, 16), std::pair(17, 24),
                                         std::pair(37, 72)));

TEST(RowKernels, Sigmoids) {
  std::vector<double> z;
  for (double x = -700; x <= 700; x += 0.618) z.push_back(x);
  for (double x = -1; x <= 1; x += 1e-3) z.push_back(x);
  for (const double x : {0.0, -0.0, 1e-300, 36.7, -36.7, 707.9, -707.9}) z.push_back(x);
  for (size_t n = 1; n <= z.size(); n = n < 40 ? n + 1 : z.size() + (n == z.size() ? 1 : 0)) {
    std::vector<double> out(n + 1, -1);
    sigmoids(z.data(), static_cast<std::int64_t>(n), out.data());
    for (size_t i = 0; i < n; ++i) {
      const auto expected = static_cast<double>(1.0L / (1.0L + std::exp(-static_cast<long double>(z[i]))));
      EXPECT_NEAR(out[i], expected, 1e-15 * expected) << z[i];
    }
    EXPECT_EQ(out[n], -1) << "nothing is written behind the last";
  }
  const std::vector<double> far = {1e6, -1e6, INFINITY, -INFINITY};
  std::vector<double> out(4);
  sigmoids(far.data(), 4, out.data());
  EXPECT_EQ(out[0], 1);
  EXPECT_EQ(out[2], 1);
  EXPECT_LT(out[1], 1e-300);
  EXPECT_LT(out[3], 1e-300);
}

}  // namespace
}  // namespace safetylock
