// Oracle: gguf.quants.dequantize of the Python package gguf (golden files by scripts/make_golden_formats.py).
#include "formats/ggml_types.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

std::span<const std::byte> as_bytes(const std::string& s) {
  return std::as_bytes(std::span(s.data(), s.size()));
}

class Blocks : public testing::TestWithParam<GgmlType> {};

TEST_P(Blocks, BitEqualToTheOracle) {
  const std::string name = ggml_traits(static_cast<std::uint32_t>(GetParam()))->name;
  const std::string blocks = test::golden("formats/" + name + ".blocks");
  const std::string expected = test::golden("formats/" + name + ".values");
  std::vector<float> want(expected.size() / sizeof(float));
  std::memcpy(want.data(), expected.data(), expected.size());
  ASSERT_GE(want.size(), 1024U);
  std::vector<float> got(want.size());
  ggml_dequantize(GetParam(), as_bytes(blocks), got);
  for (size_t i = 0; i < want.size(); ++i) {
    // The payload of a NaN is not defined by the arithmetic; that it is one, is.
    if (std::isnan(want[i])) {
      ASSERT_TRUE(std::isnan(got[i])) << i;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(want[i]))
          << i << ": " << got[i];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, Blocks,
                         testing::Values(GgmlType::F32, GgmlType::F16, GgmlType::BF16, GgmlType::Q4_0,
                                         GgmlType::Q4_1, GgmlType::Q5_0, GgmlType::Q5_1, GgmlType::Q8_0,
                                         GgmlType::Q2_K, GgmlType::Q3_K, GgmlType::Q4_K, GgmlType::Q5_K,
                                         GgmlType::Q6_K),
                         [](const auto& instance) {
                           return std::string(ggml_traits(static_cast<std::uint32_t>(instance.param))->name);
                         });

// The definition of IEEE 754 binary16, for all of its values.
TEST(Half, EveryValue) {
  std::vector<std::uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  std::vector<float> values(halves.size());
  ggml_dequantize(GgmlType::F16, std::as_bytes(std::span(halves)), values);
  for (int i = 0; i < 65536; ++i) {
    const int exponent = (i >> 10) & 31;
    const int mantissa = i & 1023;
    const double sign = (i & 0x8000) != 0 ? -1 : 1;
    const float got = values[static_cast<size_t>(i)];
    if (exponent == 31) {
      ASSERT_EQ(std::isnan(got), mantissa != 0) << i;
      ASSERT_EQ(std::isinf(got), mantissa == 0) << i;
    } else {
      const double magnitude =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      ASSERT_EQ(got, sign * magnitude) << i;
    }
    ASSERT_EQ(std::signbit(got), (i & 0x8000) != 0) << i;
  }
}

TEST(GgmlTypes, UnknownAndUnsupportedNumbers) {
  EXPECT_FALSE(ggml_traits(16));  // IQ2_XXS
  EXPECT_FALSE(ggml_traits(999));
  EXPECT_EQ(ggml_type_name(16), "IQ2_XXS (number 16)");
  EXPECT_EQ(ggml_type_name(999), "unknown type (number 999)");
  EXPECT_EQ(supported_ggml_types(),
            "F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, BF16");
}

TEST(GgmlTypes, SpansThatDoNotFitAreRefused) {
  std::vector<std::byte> in(18);
  std::vector<float> out(32);
  ggml_dequantize(GgmlType::Q4_0, in, out);
  out.resize(31);
  EXPECT_EQ(test::code_of([&] { ggml_dequantize(GgmlType::Q4_0, in, out); }), "arg.shape");
  in.resize(17);
  out.resize(32);
  EXPECT_EQ(test::code_of([&] { ggml_dequantize(GgmlType::Q4_0, in, out); }), "arg.shape");
}

}  // namespace
}  // namespace safetylock
