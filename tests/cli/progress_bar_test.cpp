#include "cli/progress_bar.h"

#include <gtest/gtest.h>

#include <vector>

namespace safetylock::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Recorder {
  ProgressBar::Clock::time_point start{};
  std::vector<std::string> written;
  ProgressBar bar;

  explicit Recorder(ProgressStyle style)
      : bar(style, [this](const std::string& text) { written.push_back(text); }) {}
  void at(milliseconds time, std::int64_t done, std::int64_t total = 100,
          const std::string& stage = "reading") {
    bar.update({.stage = stage, .done = done, .total = total, .unit = "pairs"}, start + time);
  }
};

TEST(ProgressBar, ShortStepsShowNothing) {
  Recorder r({.terminal = true, .width = 80});
  r.at(seconds(0), 0);
  r.at(milliseconds(1900), 90);
  r.at(milliseconds(1950), 100);
  EXPECT_TRUE(r.written.empty());
}

TEST(ProgressBar, PlainLinesComeAfterTwoSecondsAndThenEveryTen) {
  Recorder r({.terminal = false, .width = 80});
  for (int second = 0; second <= 25; ++second) r.at(seconds(second), second * 4);
  ASSERT_EQ(r.written.size(), 4u);
  EXPECT_EQ(r.written[0], "reading: 8/100 pairs, 4.0 pairs/s, 23 s left\n");
  EXPECT_EQ(r.written[1], "reading: 48/100 pairs, 4.0 pairs/s, 13 s left\n");
  EXPECT_EQ(r.written[2], "reading: 88/100 pairs, 4.0 pairs/s, 3 s left\n");
  EXPECT_EQ(r.written[3], "reading: 100/100 pairs in 25 s\n");
}

TEST(ProgressBar, BarFitsTheTerminalAndIsRemovedAtTheEnd) {
  for (const size_t width : {20u, 40u, 60u, 200u}) {
    Recorder r({.terminal = true, .width = width});
    r.at(seconds(0), 0);
    for (int tick = 1; tick <= 50; ++tick) r.at(milliseconds(100 * tick), tick);
    ASSERT_GT(r.written.size(), 20u);
    for (const std::string& drawn : r.written) {
      ASSERT_EQ(drawn.front(), '\r');
      ASSERT_TRUE(drawn.ends_with("\x1b[K"));
      EXPECT_LT(drawn.size() - 4, width);
      EXPECT_EQ(drawn.find('\n'), std::string::npos);
    }
    r.at(seconds(6), 100);
    ASSERT_GE(r.written.size(), 2u);
    EXPECT_EQ(r.written[r.written.size() - 2], "\r\x1b[K");
    EXPECT_EQ(r.written.back(), "reading: 100/100 pairs in 6 s\n");
  }
}

TEST(ProgressBar, BarIsFilledInProportion) {
  Recorder r({.terminal = true, .width = 120});
  r.at(seconds(0), 0);
  r.at(seconds(3), 50);
  ASSERT_EQ(r.written.size(), 1u);
  EXPECT_NE(r.written[0].find("[###############---------------]"), std::string::npos) << r.written[0];
}

TEST(ProgressBar, RedrawsAtMostTenTimesASecond) {
  Recorder r({.terminal = true, .width = 80});
  r.at(seconds(0), 0);
  for (int ms = 2000; ms < 3000; ++ms) r.at(milliseconds(ms), ms / 100);
  EXPECT_LE(r.written.size(), 11u);
}

TEST(ProgressBar, ANewStageStartsItsOwnClock) {
  Recorder r({.terminal = false, .width = 80});
  r.at(seconds(0), 0);
  r.at(seconds(3), 100);  // never shown, so no closing line either
  r.at(seconds(4), 0, 50, "ranking");
  r.at(seconds(5), 10, 50, "ranking");
  EXPECT_TRUE(r.written.empty());
  r.at(seconds(7), 30, 50, "ranking");
  ASSERT_EQ(r.written.size(), 1u);
  EXPECT_EQ(r.written[0], "ranking: 30/50 pairs, 10 pairs/s, 2 s left\n");
}

TEST(ProgressBar, SameStageAgainAfterItsEndStartsAnew) {
  Recorder r({.terminal = false, .width = 80});
  r.at(seconds(0), 0);
  r.at(seconds(1), 100);
  r.at(seconds(10), 0);
  r.at(seconds(11), 50);
  EXPECT_TRUE(r.written.empty());
}

TEST(ProgressText, KnowsBytesAndUnknownTotals) {
  EXPECT_EQ(progress_text({.stage = "s", .done = 500'000'000, .total = 1'500'000'000, .unit = "bytes"}, 2),
            "500 MB of 1.5 GB, 250 MB/s, 4 s left");
  EXPECT_EQ(progress_text({.stage = "s", .done = 7, .total = 0, .unit = "pairs"}, 2), "7 pairs, 3.5 pairs/s");
  EXPECT_EQ(progress_text({.stage = "s", .done = 0, .total = 9, .unit = "pairs"}, 2), "0/9 pairs");
}

TEST(DurationText, Units) {
  EXPECT_EQ(duration_text(0.2), "0 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(184), "3 min 04 s");
  EXPECT_EQ(duration_text(3720), "1 h 02 min");
}

}  // namespace
}  // namespace safetylock::cli
