// tokenizer.json with a sentencepiece vocabulary: rows B1 to B12 of what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "safetylock/tokenizer.h"
#include "support/errors.h"
#include "support/temporary.h"
#include "text/tiny_character_bpe.h"

namespace safetylock {
namespace {

using test::OrderedJson;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tokenizer load(const OrderedJson& json) {
  return Tokenizer::from_tokenizer_json_text(json.dump(), "tiny.json");
}

ErrorFields refusal(const std::function<void(OrderedJson&)>& change, OrderedJson json) {
  change(json);
  const auto error = test::error_of([&] { load(json); });
  return error.value_or(ErrorFields{"no error", "", "", "", "", ""});
}

ErrorFields refusal(const std::function<void(OrderedJson&)>& change) {
  return refusal(change, test::tiny_character_bpe());
}

TEST(CharacterBpeRows, TheSoundFilesLoad) {
  for (const OrderedJson& json : {test::tiny_character_bpe(), test::tiny_phi3(), test::tiny_gemma()}) {
    const Tokenizer t = load(json);
    EXPECT_EQ(t.decode(t.encode("hello \U0001F600 <s>").ids, false), "hello \U0001F600 <s>");
  }
}

TEST(CharacterBpeRows, B1UnknownStagesAreRefusedWithTheirPath) {
  const auto normalizer = [](OrderedJson stage) {
    return refusal([&](auto& j) {
      j["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, std::move(stage)}}};
    });
  };
  EXPECT_EQ(normalizer({{"type", "NFC"}}).code, "no error");
  EXPECT_EQ(normalizer({{"type", "NFKC"}}).where, "/normalizer/normalizers/1/type");
  const OrderedJson regex{{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}};
  EXPECT_EQ(normalizer(regex).code, "bpe.unsupported");
  EXPECT_EQ(normalizer(regex).where, "/normalizer/normalizers/1/pattern/Regex");
  EXPECT_EQ(normalizer({{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", " "}}).code,
            "bpe.unsupported");
  EXPECT_EQ(normalizer({{"type", "Precompiled"}, {"precompiled_charsmap", ""}}).code, "bpe.unsupported");

  const auto decoder = [](OrderedJson stage) {
    return refusal([&](auto& j) { j["decoder"]["decoders"][1] = std::move(stage); });
  };
  EXPECT_EQ(decoder({{"type", "ByteLevel"}}).where, "/decoder/decoders/1/type");
  EXPECT_EQ(decoder({{"type", "WordPiece"}}).code, "bpe.unsupported");
  EXPECT_EQ(decoder({{"type", "Strip"}, {"content", " "}, {"start", 0}, {"stop", 1}}).where,
            "/decoder/decoders/1/stop");
  EXPECT_EQ(decoder({{"type", "Strip"}, {"content", "ab"}, {"start", 1}, {"stop", 0}}).code,
            "bpe.unsupported");
  EXPECT_EQ(decoder({{"type", "Fuse"}, {"extra", 1}}).where, "/decoder/decoders/1/extra");
  EXPECT_EQ(refusal([](auto& j) { j["decoder"] = nullptr; }).where, "/decoder");
  EXPECT_EQ(refusal([](auto& j) { j["decoder"]["decoders"] = OrderedJson::array(); }).code,
            "bpe.unsupported");

  EXPECT_EQ(refusal([](auto& j) { j["model"]["byte_fallback"] = false; }).where, "/model/byte_fallback");
  EXPECT_EQ(refusal([](auto& j) {
              j["post_processor"] = {{"type", "ByteLevel"}, {"trim_offsets", true}};
            }).where,
            "/post_processor/type");
}

TEST(CharacterBpeRows, B2PreTokenizersThatAreNotBuiltAreRefused) {
  const auto metaspace = [](const char* key, OrderedJson value) {
    return refusal([&](auto& j) { j["pre_tokenizer"][key] = std::move(value); });
  };
  EXPECT_EQ(metaspace("prepend_scheme", "sometimes").where, "/pre_tokenizer/prepend_scheme");
  EXPECT_EQ(metaspace("replacement", "_").where, "/pre_tokenizer/replacement");
  EXPECT_EQ(metaspace("add_prefix_space", false).where, "/pre_tokenizer/add_prefix_space");
  EXPECT_EQ(metaspace("add_prefix_space", true).code, "no error");
  EXPECT_EQ(metaspace("str_rep", "_").code, "bpe.unsupported");
  const auto split = [](const char* key, OrderedJson value) {
    return refusal([&](auto& j) { j["pre_tokenizer"][key] = std::move(value); }, test::tiny_gemma());
  };
  EXPECT_EQ(split("behavior", "MergedWithNext").where, "/pre_tokenizer/behavior");
  EXPECT_EQ(split("invert", true).where, "/pre_tokenizer/invert");
  EXPECT_EQ(split("pattern", {{"Regex", " "}}).where, "/pre_tokenizer/pattern/Regex");
  EXPECT_EQ(split("type", "Whitespace").where, "/pre_tokenizer/type");
}

TEST(CharacterBpeRows, B3B4MergesAreChecked) {
  const auto merge = [](OrderedJson value) {
    return refusal([&](auto& j) { j["model"]["merges"].push_back(std::move(value)); });
  };
  EXPECT_EQ(merge("l zz").code, "bpe.merge_unknown");
  EXPECT_EQ(merge("h o").code, "bpe.merge_unknown");
  EXPECT_THAT(merge("h o").where, HasSubstr("rank 9"));
  EXPECT_EQ(merge("e l").code, "bpe.merge_duplicate");
  EXPECT_EQ(merge("el").code, "bpe.merge_syntax");
}

TEST(CharacterBpeRows, B6AMissingByteIsRefused) {
  const auto error = refusal([](auto& j) {
    OrderedJson vocab = OrderedJson::object();
    for (const auto& [token, id] : j["model"]["vocab"].items()) {
      if (token != "<0xFF>") vocab[token] = vocab.size();
    }
    j["model"]["vocab"] = vocab;
  });
  EXPECT_EQ(error.code, "bpe.byte_alphabet");
  EXPECT_THAT(error.found, HasSubstr("0xFF"));
}

TEST(CharacterBpeRows, B7AnEmptyKeyIsRefused) {
  EXPECT_EQ(refusal([](auto& j) { j["model"]["vocab"][""] = 281; }).code, "bpe.vocab_key");
}

TEST(CharacterBpeRows, B8AddedTokensAreChecked) {
  const auto added = [](OrderedJson token) {
    return refusal([&](auto& j) { j["added_tokens"].push_back(std::move(token)); }).code;
  };
  EXPECT_EQ(added(test::added_token(281, "<|new|>")), "no error");
  EXPECT_EQ(added(test::added_token(282, "<|new|>")), "bpe.added_token");
  EXPECT_EQ(added(test::added_token(281, "<s>")), "bpe.added_token");
  EXPECT_EQ(added(test::added_token(3, "<0x00>")), "bpe.added_token") << "a byte no text could be made of";
  EXPECT_EQ(added(test::added_token(281, "")), "bpe.added_token");
}

TEST(CharacterBpeRows, B9AnUnknownUnknownTokenIsRefused) {
  EXPECT_EQ(refusal([](auto& j) { j["model"]["unk_token"] = "<what>"; }).code, "bpe.unk");
  EXPECT_EQ(refusal([](auto& j) { j["model"]["dropout"] = 0.1; }).code, "bpe.dropout");
}

TEST(CharacterBpeRows, B12ATextOfAMillionLettersIsEncoded) {
  const Tokenizer t = load(test::tiny_character_bpe());
  std::string text;
  while (text.size() < 1'000'000) text += "lo";
  const Encoding e = t.encode(text);
  EXPECT_EQ(e.ids.size(), 500'001U);
  EXPECT_EQ(e.offsets.back().end, text.size());
}

TEST(TokenizerFolder, B1ClassesThatBuildTheirOwnStagesAreRefused) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer.json", test::tiny_character_bpe().dump());
  const auto with_class = [&](const std::string& name) {
    folder.write("tokenizer_config.json", R"({"tokenizer_class": ")" + name + "\"}");
    return test::error_of([&] { Tokenizer::from_pretrained(folder.path()); })
        .value_or(ErrorFields{"no error", "", "", "", "", ""});
  };
  EXPECT_EQ(with_class("TokenizersBackend").code, "no error");
  EXPECT_EQ(with_class("LlamaTokenizerFast").code, "no error");
  EXPECT_EQ(with_class("CodeLlamaTokenizer").code, "bpe.unsupported");
  EXPECT_EQ(with_class("CodeLlamaTokenizer").where, "/tokenizer_class");
  folder.write("config.json", R"({"model_type": "mistral"})");
  EXPECT_EQ(with_class("CodeLlamaTokenizer").code, "no error") << "this model type reads the file as it is";
}

TEST(TokenizerFolder, TokensOfTheConfigurationThatClashAreRefused) {
  const test::TemporaryFolder folder;
  folder.write("tokenizer.json", test::tiny_character_bpe().dump());
  folder.write("tokenizer_config.json", R"({"added_tokens_decoder": {"400": {"content": "<|new|>"}}})");
  EXPECT_EQ(test::code_of([&] { Tokenizer::from_pretrained(folder.path()); }), "bpe.added_token");
  folder.write("tokenizer_config.json", R"({"split_special_tokens": true})");
  EXPECT_EQ(test::code_of([&] { Tokenizer::from_pretrained(folder.path()); }), "bpe.unsupported");
}

}  // namespace
}  // namespace safetylock
