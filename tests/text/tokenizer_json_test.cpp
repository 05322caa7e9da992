// tokenizer.json: what a tokenizer read from it does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "safetylock/tokenizer.h"
#include "support/errors.h"
#include "support/temporary.h"
#include "text/tiny_tokenizer.h"

namespace safetylock {
namespace {

using test::code_of;
using test::error_of;
using test::OrderedJson;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tokenizer load(const OrderedJson& json) {
  return Tokenizer::from_tokenizer_json_text(json.dump(), "tiny.json");
}

using Change = std::function<void(OrderedJson&)>;

OrderedJson& vocab(OrderedJson& j) {
  return j["model"]["vocab"];
}
OrderedJson& merges(OrderedJson& j) {
  return j["model"]["merges"];
}

TEST(TokenizerJson, EncodesAndDecodes) {
  const Tokenizer t = load(test::tiny_tokenizer());
  const Encoding e = t.encode("hello world<|a|>1111<tool>");
  EXPECT_THAT(e.ids, ElementsAre(259, 264, 267, 265, 265, 269));
  ASSERT_EQ(e.offsets.size(), 6U);
  EXPECT_EQ(e.offsets[1].begin, 5U);
  EXPECT_EQ(e.offsets[1].end, 11U);
  EXPECT_EQ(e.offsets[2].end, 16U);
  EXPECT_EQ(t.decode(e.ids), "hello world1111<tool>");
  EXPECT_EQ(t.decode(e.ids, false), "hello world<|a|>1111<tool>");
  EXPECT_EQ(t.vocab_size(), 270);
  EXPECT_EQ(t.token_to_id("Ġworld"), 264);
  EXPECT_EQ(t.token_to_id("<|b|>"), 268);
  EXPECT_EQ(t.token_to_id(" world"), std::nullopt);
  EXPECT_TRUE(t.is_special(267));
  EXPECT_FALSE(t.is_special(269));
  EXPECT_FALSE(t.is_special(-1));
  EXPECT_TRUE(t.encode("").ids.empty());
}

TEST(TokenizerJson, ControlTokensMayBeReadAsText) {
  const Tokenizer t = load(test::tiny_tokenizer());
  const Encoding e = t.encode("<|a|><tool>", {.parse_special_tokens = false});
  EXPECT_THAT(e.ids, ElementsAre('<', '|', 'a', '|', '>', 269));
}

TEST(TokenizerJson, MergesMayBePairs) {
  OrderedJson json = test::tiny_tokenizer();
  OrderedJson pairs = OrderedJson::array();
  for (const auto& [left, right] : test::tiny_merges()) pairs.push_back({left, right});
  merges(json) = pairs;
  EXPECT_EQ(load(json).digest(), load(test::tiny_tokenizer()).digest());
}

TEST(TokenizerJson, TemplateAddsBosAndEosOnDemand) {
  OrderedJson json = test::tiny_tokenizer();
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single",
                             {{{"SpecialToken", {{"id", "<|a|>"}, {"type_id", 0}}}},
                              {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                              {{"SpecialToken", {{"id", "<|b|>"}, {"type_id", 0}}}}}},
                            {"pair", OrderedJson::array()},
                            {"special_tokens",
                             {{"<|a|>", {{"id", "<|a|>"}, {"ids", {267}}, {"tokens", {"<|a|>"}}}},
                              {"<|b|>", {{"id", "<|b|>"}, {"ids", {268}}, {"tokens", {"<|b|>"}}}}}}};
  const Tokenizer t = load(json);
  EXPECT_THAT(t.encode("hello").ids, ElementsAre(259));
  const Encoding e = t.encode("hello", {.add_special_tokens = true});
  EXPECT_THAT(e.ids, ElementsAre(267, 259, 268));
  EXPECT_EQ(e.offsets[0].end, 0U);
  EXPECT_EQ(e.offsets[1].end, 5U);
}

TEST(TokenizerJson, DecodedBytesMayEndInsideACharacter) {
  const Tokenizer t = load(test::tiny_tokenizer());
  const Encoding e = t.encode("é中");
  ASSERT_EQ(e.ids.size(), 5U);
  EXPECT_EQ(e.offsets[0].begin, 0U);
  EXPECT_EQ(e.offsets[0].end, 2U) << "both tokens of a character stand for all of it";
  EXPECT_EQ(e.offsets[4].begin, 2U);
  const std::vector<TokenId> cut(e.ids.begin(), e.ids.end() - 1);
  EXPECT_EQ(t.decode_bytes(cut), "é\xE4\xB8");
  EXPECT_EQ(t.decode(cut), "é\uFFFD") << "one for the whole cut character";
  EXPECT_EQ(t.decode({e.ids[2], '!'}), "\uFFFD!");
}

TEST(TokenizerJson, RefusesArgumentsThatCannotBe) {
  const Tokenizer t = load(test::tiny_tokenizer());
  const auto invalid = error_of([&] { t.encode("ok\xFFno"); });
  ASSERT_TRUE(invalid);
  EXPECT_EQ(invalid->code, "arg.prompt");
  EXPECT_EQ(invalid->where, "byte 2");
  EXPECT_EQ(code_of([&] { t.encode("\xED\xA0\x80"); }), "arg.prompt");
  EXPECT_EQ(code_of([&] { t.decode({0, 270}); }), "arg.range");
  EXPECT_EQ(code_of([&] { t.decode({-1}); }), "arg.range");
}

TEST(TokenizerJson, DigestChangesWithEverythingThatDecidesIds) {
  const std::string digest = load(test::tiny_tokenizer()).digest();
  EXPECT_EQ(digest.size(), 64U);
  const std::vector<Change> changes{
      [](OrderedJson& j) {
        j["normalizer"] = {{"type", "NFC"}};
      },
      [](OrderedJson& j) { j["model"]["ignore_merges"] = true; },
      [](OrderedJson& j) { std::swap(merges(j)[0], merges(j)[1]); },
      [](OrderedJson& j) { merges(j).erase(merges(j).size() - 1); },
      [](OrderedJson& j) { std::swap(vocab(j)["or"], vocab(j)["ld"]); },
      [](OrderedJson& j) { j["added_tokens"][0]["special"] = false; },
      [](OrderedJson& j) { j["added_tokens"][0]["lstrip"] = true; },
      [](OrderedJson& j) { j["added_tokens"][0]["content"] = "<|c|>"; },
      [](OrderedJson& j) { j["added_tokens"].erase(2); },
      [](OrderedJson& j) {
        j["pre_tokenizer"] = {
            {"type", "Sequence"},
            {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, j["pre_tokenizer"]}}};
      }};
  std::set<std::string> digests{digest};
  for (const Change& change : changes) {
    OrderedJson json = test::tiny_tokenizer();
    change(json);
    digests.insert(load(json).digest());
  }
  EXPECT_EQ(digests.size(), changes.size() + 1);
  OrderedJson same = test::tiny_tokenizer();
  same["decoder"]["trim_offsets"] = false;
  same["post_processor"] = {{"type", "ByteLevel"}, {"trim_offsets", false}};
  EXPECT_EQ(load(same).digest(), digest);
}

TEST(TokenizerJson, IsUsedFromSeveralThreads) {
  const Tokenizer t = load(test::tiny_tokenizer());
  const std::string text = "hello world <|a|>1111<tool> é中 don't\n";
  const std::vector<TokenId> expected = t.encode(text).ids;
  std::vector<int> equal(4, 0);
  {
    std::vector<std::jthread> threads;
    for (int& count : equal) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) count += t.encode(text).ids == expected ? 1 : 0;
      });
    }
  }
  EXPECT_THAT(equal, ElementsAre(200, 200, 200, 200));
}

TEST(TokenizerJson, FolderWithoutATokenizerIsNamed) {
  const test::TemporaryFolder folder;
  const auto error = error_of([&] { Tokenizer::from_pretrained(folder.path()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "io.open");
  EXPECT_THAT(error->file, HasSubstr("tokenizer.json"));
}

}  // namespace
}  // namespace safetylock
