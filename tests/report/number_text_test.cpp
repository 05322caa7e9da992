#include "report/number_text.h"

#include <gtest/gtest.h>

#include "report/svg.h"

namespace safetylock::report {
namespace {

TEST(NumberText, Fixed) {
  EXPECT_EQ(fixed(1.25, 1), "1.2");
  EXPECT_EQ(fixed(-0.04, 1), "0.0");
  EXPECT_EQ(fixed(-0.06, 1), "-0.1");
  EXPECT_EQ(with_sign(0.04, 1), "0.0");
  EXPECT_EQ(with_sign(1.3, 1), "+1.3");
  EXPECT_EQ(fixed(1e300, 2), "1.000e+300");
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(position(12.04), "12");
  EXPECT_EQ(position(12.06), "12.1");
}

TEST(NumberText, PercentNeverRoundsToNoneOrAll) {
  const auto rate = [](std::int64_t count, std::int64_t n) {
    return Rate{.count = count, .n = n, .value = double(count) / double(n), .low = 0, .high = 1};
  };
  EXPECT_EQ(percent(rate(14, 100)), "14 %");
  EXPECT_EQ(percent(rate(0, 50)), "0 %");
  EXPECT_EQ(percent(rate(50, 50)), "100 %");
  EXPECT_EQ(percent(rate(999, 1000)), "99.9 %");
  EXPECT_EQ(percent(rate(1, 300)), "0.3 %");
  EXPECT_EQ(percent(rate(1, 100'000)), "< 0.1 %");
  EXPECT_EQ(percent(rate(99'999, 100'000)), "> 99.9 %");
  EXPECT_EQ(percent(Rate{}), "not measured");
  EXPECT_EQ(with_interval(Rate{.count = 14, .n = 100, .value = 0.14, .low = 0.085, .high = 0.221}),
            "14 % [8, 22]");
}

TEST(NumberText, DurationsAndCounts) {
  EXPECT_EQ(duration(0.00163), "1.6 ms");
  EXPECT_EQ(duration(0.2), "200 ms");
  EXPECT_EQ(duration(12.34), "12.3 s");
  EXPECT_EQ(duration(59.97), "1 min 0 s");
  EXPECT_EQ(duration(3725), "1 h 2 min");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(123), "123");
  EXPECT_EQ(grouped(-1234), "-1,234");
}

TEST(Ticks, AreRoundAndInside) {
  EXPECT_EQ(ticks(0, 1, 4).size(), 3U);  // 0, 0.5, 1
  EXPECT_EQ(ticks(0, 1, 5).size(), 6U);  // by 0.2
  for (const auto& [from, to] : {std::pair(-3.7, 12.1), std::pair(0.0, 1e-6), std::pair(1e6, 1.1e6)}) {
    const auto at = ticks(from, to, 4);
    EXPECT_GE(at.size(), 2U);
    EXPECT_GE(at.front(), from - 1e-9);
    EXPECT_LE(at.back(), to * (1 + 1e-9));
  }
  const Domain domain = nice_domain(5, 5, 3);
  EXPECT_LT(domain.from, 5);
  EXPECT_GT(domain.to, 5);
  EXPECT_EQ(tick_text(0.5, {0, 0.5, 1}), "0.5");
  EXPECT_EQ(tick_text(1, {0, 1, 2}), "1");
}

}  // namespace
}  // namespace safetylock::report
