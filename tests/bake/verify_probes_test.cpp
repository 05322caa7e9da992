#include "safetylock/verify_probes.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/errors.h"

namespace safetylock::test {
namespace {

constexpr const char* kText = R"({
 "schema": "safetylock.probes/1", "model": "m", "lock_digest": "d", "alpha": 6.0, "dtype": "float32",
 "probes": [{"prompt_ids": [1, 22], "next": [{"id": 7, "text": " é", "unlocked": -0.5, "locked": -0.25}]}]})";

TEST(VerifyProbes, ReadsWhatItWritesAndWhatOthersWrite) {
  const VerifyProbes read = probes_from_json(kText, "verify.json");
  ASSERT_EQ(read.probes.size(), 1U);
  EXPECT_EQ(read.probes[0].prompt_ids, (std::vector<std::int64_t>{1, 22}));
  EXPECT_EQ(read.probes[0].next[0].id, 7);
  EXPECT_EQ(read.probes[0].next[0].text, " é");
  EXPECT_EQ(read.probes[0].next[0].unlocked, -0.5);
  EXPECT_EQ(read.probes[0].next[0].locked, -0.25);
  EXPECT_EQ(read.alpha, 6.0);
  EXPECT_EQ(*parse_json(probes_to_json(read), "a"), *parse_json(kText, "b"));
}

TEST(VerifyProbes, NonsenseIsRefused) {
  const auto code = [](const std::string& from, const std::string& to) {
    std::string text = kText;
    text.replace(text.find(from), from.size(), to);
    return code_of([&] { probes_from_json(text, "verify.json"); });
  };
  EXPECT_EQ(code("probes/1", "probes/2"), "cfg.range");
  EXPECT_EQ(code("[1, 22]", "[]"), "cfg.type");
  EXPECT_EQ(code("[1, 22]", "[1, -2]"), "cfg.token_id");
  EXPECT_EQ(code("[1, 22]", "[1, 4294967296]"), "cfg.token_id");
  EXPECT_EQ(code("-0.25", "0.25"), "cfg.range");
  EXPECT_EQ(code("-0.25", "null"), "cfg.type");
  EXPECT_EQ(code("\"probes\":", "\"other\":"), "cfg.missing");
}

}  // namespace
}  // namespace safetylock::test
