// Rounding once: bit patterns worked out by hand, and values between two of each type.
#include "bake/stored_values.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "formats/ggml_types.h"
#include "support/errors.h"

namespace safetylock::test {
namespace {

std::uint16_t bits16(const char* dtype, double value) {
  const std::string bytes = stored_bytes(dtype, std::vector<double>{value}, "x");
  std::uint16_t bits = 0;
  std::memcpy(&bits, bytes.data(), 2);
  return bits;
}

TEST(StoredValues, Bfloat16) {
  EXPECT_EQ(bits16("BF16", 1.0), 0x3F80);
  EXPECT_EQ(bits16("BF16", -0.0), 0x8000);
  EXPECT_EQ(bits16("BF16", 1.00390625), 0x3F80);                       // half way: to even
  EXPECT_EQ(bits16("BF16", 1.01171875), 0x3F82);                       // half way: to even, upwards
  EXPECT_EQ(bits16("BF16", 1.00390625 + std::ldexp(1, -40)), 0x3F81);  // float32 would say half way
  EXPECT_EQ(bits16("BF16", -1.00390625 - std::ldexp(1, -40)), 0xBF81);
  EXPECT_EQ(bits16("BF16", 1.01171875 - std::ldexp(1, -40)), 0x3F81);
  EXPECT_EQ(bits16("BF16", std::ldexp(1, -133)), 0x0001);  // subnormal
}

TEST(StoredValues, Float16) {
  EXPECT_EQ(bits16("F16", 1.0), 0x3C00);
  EXPECT_EQ(bits16("F16", -2.5), 0xC100);
  EXPECT_EQ(bits16("F16", 65504), 0x7BFF);
  EXPECT_EQ(bits16("F16", 1 + std::ldexp(1, -11)), 0x3C00);  // half way: to even
  EXPECT_EQ(bits16("F16", 1 + std::ldexp(1, -11) + std::ldexp(1, -45)), 0x3C01);
  EXPECT_EQ(bits16("F16", 2 - std::ldexp(1, -12)), 0x4000);  // a carry
  EXPECT_EQ(bits16("F16", std::ldexp(1, -14)), 0x0400);      // smallest normal
  EXPECT_EQ(bits16("F16", std::ldexp(1, -24)), 0x0001);      // smallest subnormal
  EXPECT_EQ(bits16("F16", std::ldexp(1, -25)), 0x0000);      // half way: to even
  EXPECT_EQ(bits16("F16", std::ldexp(1.0001, -25)), 0x0001);
  EXPECT_EQ(bits16("F16", std::ldexp(1, -14) - std::ldexp(1, -26)), 0x0400);  // rounds up to normal
  EXPECT_EQ(bits16("F16", std::ldexp(1, -30)), 0x0000);
}

// Every finite float16 and bfloat16 is itself, whatever small amount is added or taken.
TEST(StoredValues, EveryValueOfTheTypeIsKept) {
  for (const auto& [name, type] : {std::pair{"F16", GgmlType::F16}, std::pair{"BF16", GgmlType::BF16}}) {
    for (std::uint32_t i = 0; i < 0x10000; ++i) {
      const auto bits = static_cast<std::uint16_t>(i);
      float value = 0;
      ggml_dequantize(type, std::as_bytes(std::span(&bits, 1)), std::span(&value, 1));
      if (!std::isfinite(value)) continue;
      ASSERT_EQ(bits16(name, value), bits) << name;
      ASSERT_EQ(bits16(name, static_cast<double>(value) * (1 + 1e-9)), bits) << name;
    }
  }
}

TEST(StoredValues, WhatATypeCannotHoldIsRefused) {
  const double inf = std::numeric_limits<double>::infinity();
  const auto code = [](const char* dtype, double value) {
    return code_of([&] { stored_bytes(dtype, std::vector<double>{0, value}, "layer 3"); });
  };
  EXPECT_EQ(code("F16", 65519.9), "no error");
  for (const auto& [dtype, value] : std::vector<std::pair<const char*, double>>{{"F16", 65520},
                                                                                {"BF16", 3.4e38},
                                                                                {"F32", 1e39},
                                                                                {"F64", inf},
                                                                                {"F64", std::nan("")},
                                                                                {"F16", inf}}) {
    EXPECT_EQ(code(dtype, value), "num.nonfinite") << dtype << value;
  }
}

}  // namespace
}  // namespace safetylock::test
