// tekken.json: what is read, and rows B1 to B9 of what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/base64.h"
#include "safetylock/tokenizer.h"
#include "support/errors.h"
#include "support/temporary.h"
#include "text/pretokenizer.h"
#include "text/tiny_tokenizer.h"

namespace safetylock {
namespace {

using test::OrderedJson;
using ::testing::ElementsAre;

// RFC 4648, section 10.
TEST(Base64, DecodesTheTestVectors) {
  for (const auto& [text, bytes] : std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                                                    {"Zg==", "f"},
                                                                                    {"Zm8=", "fo"},
                                                                                    {"Zm9v", "foo"},
                                                                                    {"Zm9vYg==", "foob"},
                                                                                    {"Zm9vYmE=", "fooba"},
                                                                                    {"Zm9vYmFy", "foobar"},
                                                                                    {"/+8=", "\xFF\xEF"}}) {
    EXPECT_EQ(decode_base64(text), bytes) << text;
  }
}

TEST(Base64, RefusesAllElse) {
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "====", "Z===", "Zg==Zg==", "Zm_v", "=Zg="})
    EXPECT_EQ(decode_base64(text), std::nullopt) << text;
}

// Ids: control tokens 0 to 3, a filler 4, bytes 5 to 260, then "he", "ll", "hell" and one too many.
OrderedJson tiny_tekken() {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  OrderedJson vocab = OrderedJson::array(), special = OrderedJson::array();
  const auto add = [&](const std::string& base64) {
    vocab.push_back({{"rank", vocab.size()}, {"token_bytes", base64}, {"token_str", nullptr}});
  };
  for (unsigned b = 0; b < 256; ++b) add({kDigits[b >> 2U], kDigits[(b & 3U) << 4U], '=', '='});
  for (const char* token : {"aGU=", "bGw=", "aGVsbA==", "bm90"}) add(token);
  for (const char* token : {"<unk>", "<s>", "</s>", "[INST]"})
    special.push_back({{"rank", special.size()}, {"token_str", token}, {"is_control", true}});
  return {{"config",
           {{"pattern", pattern_of(PreTokenizerKind::tekken)},
            {"num_vocab_tokens", 260},
            {"default_vocab_size", 264},
            {"default_num_special_tokens", 5},
            {"version", "v7"}}},
          {"vocab", vocab},
          {"special_tokens", special}};
}

class Tekken : public ::testing::Test {
 protected:
  Tokenizer load(const OrderedJson& json) {
    folder_.write("tekken.json", json.dump());
    return Tokenizer::from_pretrained(folder_.path());
  }
  ErrorFields refusal(const std::function<void(OrderedJson&)>& change) {
    OrderedJson json = tiny_tekken();
    change(json);
    return test::error_of([&] { load(json); }).value_or(ErrorFields{"no error", "", "", "", "", ""});
  }
  test::TemporaryFolder folder_;
};

TEST_F(Tekken, ControlTokensComeFirst) {
  const Tokenizer t = load(tiny_tekken());
  EXPECT_EQ(t.vocab_size(), 264);
  EXPECT_THAT(t.encode("[INST]hell<SPECIAL_4>!not").ids,
              ElementsAre(3, 263, 4, 5 + '!', 5 + 'n', 5 + 'o', 5 + 't'));
  EXPECT_TRUE(t.is_special(4));
}

TEST_F(Tekken, FilesWithoutAListHaveTheOldControlTokens) {
  OrderedJson json = tiny_tekken();
  json.erase("special_tokens");
  json["config"]["default_num_special_tokens"] = 1000;
  json["config"]["default_vocab_size"] = 1259;
  const Tokenizer t = load(json);
  EXPECT_THAT(t.encode("<s>[INST][/INST]</s>[TOOL_CONTENT]<SPECIAL_20>").ids,
              ElementsAre(1, 3, 4, 2, 19, 20));
  EXPECT_EQ(t.vocab_size(), 1259);
}

TEST_F(Tekken, TokenizerJsonGoesFirst) {
  folder_.write("tokenizer.json", test::tiny_tokenizer().dump());
  EXPECT_THAT(load(tiny_tekken()).encode("hell").ids, ElementsAre(258));
}

TEST_F(Tekken, B1UnknownFieldsAreRefused) {
  EXPECT_EQ(refusal([](auto& j) { j["extra"] = 1; }).where, "/extra");
  EXPECT_EQ(refusal([](auto& j) { j["config"]["extra"] = 1; }).where, "/config/extra");
  EXPECT_EQ(refusal([](auto& j) { j["vocab"][7]["score"] = 1; }).where, "/vocab/7/score");
  EXPECT_EQ(refusal([](auto& j) { j["vocab"] = 1; }).code, "cfg.type");
  EXPECT_EQ(refusal([](auto& j) { j["image"] = {{"image_patch_size", 16}}; }).code, "no error");
}

TEST_F(Tekken, B2AnotherPatternIsRefused) {
  const auto error = refusal([](auto& j) { j["config"]["pattern"] = "(a+)+$"; });
  EXPECT_EQ(error.code, "bpe.pretokenizer");
  EXPECT_EQ(error.where, "/config/pattern");
}

TEST_F(Tekken, B5RanksMustBeInOrder) {
  EXPECT_EQ(refusal([](auto& j) { j["vocab"][7]["rank"] = 8; }).code, "bpe.vocab_id");
  EXPECT_EQ(refusal([](auto& j) { j["vocab"][257]["token_bytes"] = "aGU="; }).code, "bpe.vocab_id");
  EXPECT_EQ(refusal([](auto& j) { j["special_tokens"][1]["rank"] = 0; }).code, "bpe.vocab_id");
  EXPECT_EQ(refusal([](auto& j) { j["special_tokens"][3]["rank"] = 4; }).code, "bpe.vocab_id");
  EXPECT_EQ(refusal([](auto& j) { j["config"]["default_vocab_size"] = 3; }).code, "cfg.range");
  EXPECT_EQ(refusal([](auto& j) { j["config"]["default_num_special_tokens"] = 2; }).code, "cfg.range");
}

TEST_F(Tekken, B6AMissingByteIsRefused) {
  EXPECT_EQ(refusal([](auto& j) { j["vocab"]['q']["token_bytes"] = "cXE="; }).code, "bpe.byte_alphabet");
}

TEST_F(Tekken, B7TokensThatAreNotBase64AreRefused) {
  EXPECT_EQ(refusal([](auto& j) { j["vocab"][258]["token_bytes"] = "aGV"; }).where, "/vocab/258/token_bytes");
  EXPECT_EQ(refusal([](auto& j) { j["vocab"][258]["token_bytes"] = ""; }).code, "bpe.vocab_key");
}

TEST_F(Tekken, B8ControlTokensAreDistinctTexts) {
  EXPECT_EQ(refusal([](auto& j) { j["special_tokens"][1]["token_str"] = ""; }).code, "bpe.added_token");
  EXPECT_EQ(refusal([](auto& j) { j["special_tokens"][1]["token_str"] = "<unk>"; }).code, "bpe.vocab_id");
  EXPECT_EQ(refusal([](auto& j) { j["special_tokens"][1]["token_str"] = "he"; }).code, "bpe.vocab_id");
}

}  // namespace
}  // namespace safetylock
