#include "base/edit_distance.h"

#include <gtest/gtest.h>

namespace safetylock {
namespace {

TEST(EditDistance, CountsChangesAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("--piars", "--pairs"), 1U);
  EXPECT_EQ(edit_distance("abcd", "acbd"), 1U);
  EXPECT_EQ(edit_distance("ca", "abc"), 3U) << "optimal string alignment, not Damerau-Levenshtein";
}

}  // namespace
}  // namespace safetylock
