#include "base/json.h"

#include <gtest/gtest.h>

#include <chrono>

#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::error_of;

std::string parse_code(std::string_view text, const JsonLimits& limits = {}) {
  return code_of([&] { (void)parse_json(text, "f.json", limits); });
}

TEST(ParseJson, KeepsValuesAndOrder) {
  const Json v = parse_json(R"( {"z": [1, -2, 3.5, true, null, "s", {}], "a": {"b": []}} )", "f");
  EXPECT_EQ(v.dump(), R"({"z":[1,-2,3.5,true,null,"s",{}],"a":{"b":[]}})");
  EXPECT_EQ(v["a"]["b"].size(), 0U);
  EXPECT_EQ(parse_json("18446744073709551615", "f")->get<std::uint64_t>(), UINT64_MAX);
  EXPECT_EQ(parse_json(R"("\u00e9\ud83d\ude00")", "f")->get<std::string>(), "é😀");
}

TEST(ParseJson, C1_SyntaxErrorsNameLineAndColumn) {
  const auto e = error_of([] { (void)parse_json("{\"a\": 1,\n \"b\": nope}", "f.json"); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "json.syntax");
  EXPECT_EQ(e->file, "f.json");
  EXPECT_TRUE(e->where.starts_with("line 2, column ")) << e->where;
  for (const char* text :
       {"", "{", "[1,]", "{\"a\":1}x", "NaN", "[Infinity]", "{\"a\" 1}", "'a'", "01", "1 2", "\"a\nb\""}) {
    EXPECT_EQ(parse_code(text), "json.syntax") << text;
  }
}

TEST(ParseJson, C1_NumberTooLargeForADouble) {
  EXPECT_EQ(parse_code("1e400"), "json.syntax");
  EXPECT_EQ(parse_code("[-1e999]"), "json.syntax");
  EXPECT_EQ(parse_code("1e308"), "no error");
}

TEST(ParseJson, C1_ByteOrderMarkAndInvalidUtf8) {
  EXPECT_EQ(parse_code("\xEF\xBB\xBF{}"), "json.bom");
  const auto e = error_of([] { (void)parse_json("[\"a\xFF\"]", "f"); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "json.utf8");
  EXPECT_EQ(e->where, "byte 3");
  EXPECT_EQ(parse_code(R"(["\ud800"])"), "json.syntax");  // a lone surrogate has no UTF-8 form
}

TEST(ParseJson, C2_DepthIsAllowedUpToTheLimit) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_EQ(parse_code(nested(64)), "no error");
  EXPECT_EQ(parse_code(nested(65)), "json.depth");
  EXPECT_EQ(parse_code(std::string(10'000'000, '[')), "json.depth");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(parse_code(objects), "json.depth");
}

TEST(ParseJson, C2_NodesAreCountedKeysIncluded) {
  const JsonLimits five{.max_depth = 64, .max_nodes = 5};
  EXPECT_EQ(parse_code(R"({"a":1,"b":2})", five), "no error");  // object, two keys, two values
  EXPECT_EQ(parse_code(R"({"a":1,"b":[]})", five), "no error");
  EXPECT_EQ(parse_code(R"({"a":1,"b":[0]})", five), "limit.nodes");
}

TEST(ParseJson, C3_DuplicateKeys) {
  EXPECT_EQ(parse_code(R"({"a":1,"a":1})"), "json.duplicate_key");
  EXPECT_EQ(parse_code(R"({"o":{"a":1,"b":2,"\u0061":3}})"), "json.duplicate_key");
  EXPECT_EQ(parse_code(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]})"), "no error");
  // Both places; what looks like a key inside a text is none.
  const auto e = error_of(
      [] { (void)parse_json("{\"x\": \"{\\\"a\\\": \",\n \"a\": [{\"a\": 1}],\n  \"a\" : 2}", "f"); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->where, "line 3, column 3");
  EXPECT_EQ(e->found, "\"a\" again, after line 2, column 2");
}

// nlohmann's own builder compares each key with all its siblings: half a minute here.
TEST(ParseJson, ManyKeysTakeLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 400'000; ++i)
    text += (i ? ",\"token" : "\"token") + std::to_string(i) + "\":" + std::to_string(i);
  text += "}";
  const auto begin = std::chrono::steady_clock::now();
  const Json v = parse_json(text, "f");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(v.size(), 400'000U);
  EXPECT_EQ(v.begin().key(), "token0");
}

class Getters : public testing::Test {
 protected:
  Json json_ = parse_json(
      R"({"i": 7, "f": 3.9, "one": 1.0, "neg": -1, "s": "4096", "t": true, "n": null, "big": 18446744073709551615,
          "o": {"x": 1}, "a": [1]})",
      "c.json");
  JsonObject object_{json_, "c.json"};
};

TEST_F(Getters, GiveWhatIsThere) {
  EXPECT_EQ(object_.integer("i", 0, 10), 7);
  EXPECT_EQ(object_.integer_or("none", 5, 0, 10), 5);
  EXPECT_EQ(object_.integer_or("n", 5, 0, 10), 5);
  EXPECT_EQ(object_.number("f"), 3.9);
  EXPECT_EQ(object_.number("i"), 7.0);
  EXPECT_TRUE(object_.boolean_or("t", false));
  EXPECT_EQ(object_.string("s"), "4096");
  EXPECT_EQ(object_.object("o").integer("x", 0, 1), 1);
  EXPECT_FALSE(object_.has("n"));
}

TEST_F(Getters, C4_WrongTypesAndRanges) {
  for (const char* key : {"f", "one", "s", "t", "n", "o", "a"}) {
    EXPECT_EQ(code_of([&] { (void)object_.integer(key, -10, 10); }), "cfg.type") << key;
  }
  EXPECT_EQ(code_of([&] { (void)object_.integer("neg", 0, 10); }), "cfg.range");
  EXPECT_EQ(code_of([&] { (void)object_.integer("big", 0, INT64_MAX); }), "cfg.range");
  EXPECT_EQ(code_of([&] { (void)object_.integer("none", 0, 1); }), "cfg.missing");
  EXPECT_EQ(code_of([&] { (void)object_.number("s"); }), "cfg.type");
  EXPECT_EQ(code_of([&] { (void)object_.boolean_or("i", false); }), "cfg.type");
  EXPECT_EQ(code_of([&] { (void)object_.string("i"); }), "cfg.type");
  EXPECT_EQ(code_of([&] { (void)object_.object("a"); }), "cfg.type");
  EXPECT_EQ(code_of([&] { JsonObject array(json_["a"], "c.json", "/a"); }), "cfg.type");
}

TEST_F(Getters, ErrorsNameFilePointerAndValue) {
  const auto e = error_of([&] { (void)object_.object("o").string("x"); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->file, "c.json");
  EXPECT_EQ(e->where, "/o/x");
  EXPECT_EQ(e->found, "number 1");
}

}  // namespace
}  // namespace safetylock
