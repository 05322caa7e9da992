#include "safetylock/strength.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/errors.h"

namespace safetylock {
namespace {

TEST(Strength, HoldsWhatIsAllowed) {
  EXPECT_TRUE(Strength().is_zero());
  for (const double alpha : {0.0, 1e-300, 6.0, Strength::kMax}) EXPECT_EQ(Strength(alpha).alpha(), alpha);
  EXPECT_TRUE(Strength(-0.0).is_zero());
  EXPECT_FALSE(std::signbit(Strength(-0.0).alpha()));
}

TEST(Strength, RefusesWhatWouldRemoveSafetyOrMakeNonsense) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const double alpha :
       {-1.0, -1e-300, -infinity, infinity, std::nan(""), std::nextafter(Strength::kMax, infinity)}) {
    const auto error = test::error_of([&] { Strength s(alpha); });
    ASSERT_TRUE(error) << alpha;
    EXPECT_EQ(error->code, "arg.alpha");
    EXPECT_FALSE(error->found.empty());
  }
}

}  // namespace
}  // namespace safetylock
