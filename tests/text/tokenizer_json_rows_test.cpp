// tokenizer.json: rows B1 to B12 of what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "safetylock/log.h"
#include "safetylock/tokenizer.h"
#include "support/errors.h"
#include "support/temporary.h"
#include "text/tiny_tokenizer.h"
#include "text/tokenizer_parts.h"

namespace safetylock {
namespace {

using test::code_of;
using test::error_of;
using test::OrderedJson;
using ::testing::HasSubstr;

Tokenizer load(const OrderedJson& json) {
  return Tokenizer::from_tokenizer_json_text(json.dump(), "tiny.json");
}

using Change = std::function<void(OrderedJson&)>;

// The error of a tokenizer that is sound but for `change`.
ErrorFields refusal(const Change& change) {
  OrderedJson json = test::tiny_tokenizer();
  change(json);
  const auto error = error_of([&] { load(json); });
  return error.value_or(ErrorFields{"no error", "", "", "", "", ""});
}

std::string code(const Change& change) {
  return refusal(change).code;
}

OrderedJson& vocab(OrderedJson& j) {
  return j["model"]["vocab"];
}
OrderedJson& merges(OrderedJson& j) {
  return j["model"]["merges"];
}

TEST(TokenizerJsonRows, B1UnknownStagesAreRefused) {
  EXPECT_EQ(code([](auto& j) { j["model"]["type"] = "Unigram"; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["normalizer"] = {{"type", "NFKC"}}; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["normalizer"] = {{"type", "NFC"}, {"extra", 1}}; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["decoder"]["type"] = "WordPiece"; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["decoder"] = nullptr; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["post_processor"] = {{"type", "RobertaProcessing"}}; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["added_vocabulary"] = 1; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["version"] = "2.0"; }), "bpe.unsupported");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    EXPECT_EQ(code([&](auto& j) { j["model"][key] = "##"; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["model"]["byte_fallback"] = true; }), "bpe.unsupported");
  const auto error = refusal([](auto& j) { j["model"]["cache"] = 5; });
  EXPECT_EQ(error.code, "bpe.unsupported");
  EXPECT_EQ(error.where, "/model/cache");
}

TEST(TokenizerJsonRows, B1TemplatesOtherThanOneSequenceAreRefused) {
  const auto with_single = [](const OrderedJson& single) {
    return code([&](auto& j) {
      j["post_processor"] = {{"type", "TemplateProcessing"},
                             {"single", single},
                             {"pair", OrderedJson::array()},
                             {"special_tokens", {{"x", {{"id", "x"}, {"ids", {999}}, {"tokens", {"x"}}}}}}};
    });
  };
  const OrderedJson a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  EXPECT_EQ(with_single(OrderedJson::array({a})), "no error");
  EXPECT_EQ(with_single(OrderedJson::array()), "bpe.unsupported");
  EXPECT_EQ(with_single(OrderedJson::array({a, a})), "bpe.unsupported");
  EXPECT_EQ(with_single(OrderedJson::array({{{"Sequence", {{"id", "B"}, {"type_id", 0}}}}})),
            "bpe.unsupported");
  EXPECT_EQ(with_single(OrderedJson::array({a, {{"SpecialToken", {{"id", "x"}, {"type_id", 0}}}}})),
            "bpe.vocab_id");
  EXPECT_EQ(with_single(OrderedJson::array({a, {{"SpecialToken", {{"id", "y"}, {"type_id", 0}}}}})),
            "cfg.missing");
}

TEST(TokenizerJsonRows, B2PatternsThatAreNotOursAreRefused) {
  const auto with_regex = [](const std::string& regex) {
    return refusal([&](auto& j) {
      const OrderedJson split{
          {"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
      OrderedJson byte_level = j["pre_tokenizer"];
      byte_level["use_regex"] = false;
      j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}};
    });
  };
  const auto error = with_regex("(a+)+$");
  EXPECT_EQ(error.code, "bpe.pretokenizer");
  EXPECT_EQ(error.where, "/pre_tokenizer/pretokenizers/0/pattern/Regex");
  EXPECT_EQ(with_regex("").code, "bpe.pretokenizer");
  EXPECT_EQ(with_regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)").code,
            "no error");
  EXPECT_EQ(code([](auto& j) { j["pre_tokenizer"]["use_regex"] = false; }), "bpe.pretokenizer");
  EXPECT_EQ(code([](auto& j) { j["pre_tokenizer"]["add_prefix_space"] = true; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["pre_tokenizer"] = nullptr; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["pre_tokenizer"] = {{"type", "Whitespace"}}; }), "bpe.unsupported");
}

TEST(TokenizerJsonRows, B3MergesOfUnknownTokensAreRefused) {
  const auto part = refusal([](auto& j) { merges(j)[3] = "hell zz"; });
  EXPECT_EQ(part.code, "bpe.merge_unknown");
  EXPECT_THAT(part.where, HasSubstr("rank 3"));
  EXPECT_THAT(part.found, HasSubstr("zz"));
  const auto result = refusal([](auto& j) { merges(j).push_back("h o"); });
  EXPECT_EQ(result.code, "bpe.merge_unknown");
  EXPECT_THAT(result.where, HasSubstr("rank 11"));
  EXPECT_THAT(result.found, HasSubstr("ho"));
}

TEST(TokenizerJsonRows, B4MergesOfWrongSyntaxAreRefused) {
  for (const OrderedJson& merge :
       {OrderedJson("he"), OrderedJson("h e l"), OrderedJson(" he"), OrderedJson("he "), OrderedJson(""),
        OrderedJson(5), OrderedJson({"h", "e"})}) {
    const auto error = refusal([&](auto& j) { merges(j)[2] = merge; });
    EXPECT_EQ(error.code, "bpe.merge_syntax") << merge;
    EXPECT_THAT(error.where, HasSubstr("rank 2"));
  }
  EXPECT_EQ(code([](auto& j) {
              merges(j)[0] = OrderedJson({"h", "e"});
            }),
            "bpe.merge_syntax")
      << "pair first, strings after";
  EXPECT_EQ(code([](auto& j) {
              merges(j) = OrderedJson::array({OrderedJson::array({"h", "e", "l"})});
            }),
            "bpe.merge_syntax");
  const auto duplicate = refusal([](auto& j) { merges(j).push_back("h e"); });
  EXPECT_EQ(duplicate.code, "bpe.merge_duplicate");
  EXPECT_THAT(duplicate.where, HasSubstr("rank 11"));
}

TEST(TokenizerJsonRows, B5IdsThatAreNotZeroToNAreRefused) {
  for (const OrderedJson& id :
       {OrderedJson(-1), OrderedJson(3.5), OrderedJson(3.0), OrderedJson("3"), OrderedJson(3),
        OrderedJson(267), OrderedJson(18446744073709551615ULL), OrderedJson(nullptr)}) {
    EXPECT_EQ(code([&](auto& j) { vocab(j)["hello"] = id; }), "bpe.vocab_id") << id;
  }
}

TEST(TokenizerJsonRows, B6AMissingByteIsRefused) {
  // Takes the token of one byte out of the vocabulary and closes the gap.
  const auto without = [](unsigned byte) {
    return refusal([&](auto& j) {
      const OrderedJson old = vocab(j);
      vocab(j) = OrderedJson::object();
      for (const auto& [token, id] : old.items()) {
        if (token != test::spell_byte(byte)) vocab(j)[token] = vocab(j).size();
      }
      for (auto& token : j["added_tokens"]) token["id"] = token["id"].template get<int>() - 1;
    });
  };
  const auto error = without('q');
  EXPECT_EQ(error.code, "bpe.byte_alphabet");
  EXPECT_THAT(error.found, HasSubstr("0x71"));
  EXPECT_EQ(without('\n').code, "bpe.byte_alphabet");
  EXPECT_EQ(without(0xE4).code, "bpe.byte_alphabet");
  EXPECT_EQ(without(0x80).code, "bpe.byte_alphabet");
  // As in SmolLM2: control characters, bytes that UTF-8 never uses, planes without characters.
  EXPECT_EQ(without(0x04).code, "no error");
  EXPECT_EQ(without(0xFF).code, "no error");
  EXPECT_EQ(without(0xF1).code, "no error");
}

TEST(TokenizerJsonRows, B7KeysOutsideTheByteAlphabetAreRefused) {
  for (const char* key : {"two words", "中", "\u00AD", ""}) {
    EXPECT_EQ(code([&](auto& j) {
                vocab(j)[key] = 267;
                j["added_tokens"] = OrderedJson::array();
              }),
              "bpe.vocab_key")
        << key;
  }
  // But an added token may be spelled in any way.
  EXPECT_EQ(code([](auto& j) {
              vocab(j)["two words"] = 267;
              j["added_tokens"] = OrderedJson::array({test::added_token(267, "two words")});
            }),
            "no error");
}

TEST(TokenizerJsonRows, B8WrongAddedTokensAreRefused) {
  const std::vector<Change> changes{[](OrderedJson& j) { j["added_tokens"][1]["content"] = ""; },
                                    [](OrderedJson& j) { j["added_tokens"][1]["content"] = "<|a|>"; },
                                    [](OrderedJson& j) { j["added_tokens"][1]["id"] = 267; },
                                    [](OrderedJson& j) { j["added_tokens"][1]["id"] = 5; },
                                    [](OrderedJson& j) { j["added_tokens"][2]["id"] = 270; },
                                    [](OrderedJson& j) { j["added_tokens"][1]["id"] = -268; },
                                    [](OrderedJson& j) { j["added_tokens"][1]["id"] = 268.5; },
                                    [](OrderedJson& j) { j["added_tokens"][1]["content"] = "hello"; },
                                    [](OrderedJson& j) {
                                      j["normalizer"] = {{"type", "NFC"}};
                                      j["added_tokens"][0]["content"] = "\u00E9";
                                      j["added_tokens"][1]["content"] = "e\u0301";
                                      j["added_tokens"][0]["normalized"] =
                                          j["added_tokens"][1]["normalized"] = true;
                                    }};
  for (size_t i = 0; i < changes.size(); ++i) EXPECT_EQ(code(changes[i]), "bpe.added_token") << i;
  EXPECT_EQ(code([](auto& j) { j["added_tokens"][0]["priority"] = 1; }), "bpe.unsupported");
  EXPECT_EQ(code([](auto& j) { j["added_tokens"][0]["special"] = "yes"; }), "cfg.type");
  EXPECT_EQ(code([](auto& j) { j["added_tokens"] = 5; }), "cfg.type");
}

TEST(TokenizerJsonRows, B9UnknownTokenAndDropoutAreRefused) {
  EXPECT_EQ(code([](auto& j) { j["model"]["unk_token"] = "<unk>"; }), "bpe.unk");
  EXPECT_EQ(code([](auto& j) { j["model"]["unk_token"] = "hello"; }), "no error") << "every byte has a token";
  EXPECT_EQ(code([](auto& j) { j["model"]["dropout"] = 0.1; }), "bpe.dropout");
  EXPECT_EQ(code([](auto& j) { j["model"]["dropout"] = 0.0; }), "no error");
}

TEST(TokenizerJsonRows, B10TruncationAndPaddingAreNotedAndLeftOut) {
  std::string notes;
  set_log_sink(LogLevel::info, [&](LogLevel, std::string_view line) { notes += line; });
  OrderedJson json = test::tiny_tokenizer();
  json["truncation"] = {
      {"max_length", 2}, {"direction", "Right"}, {"strategy", "LongestFirst"}, {"stride", 0}};
  json["padding"] = {{"length", 10}};
  const Tokenizer t = load(json);
  set_log_sink(LogLevel::warning, nullptr);
  EXPECT_EQ(t.encode("abcdefgh").ids.size(), 8U);
  EXPECT_THAT(notes, HasSubstr("truncation"));
  EXPECT_THAT(notes, HasSubstr("padding"));
}

TEST(TokenizerJsonRows, B11OversizedFilesAreRefused) {
  EXPECT_EQ(code([](auto& j) { vocab(j)[std::string(70'000, 'x')] = 267; }), "limit.token_bytes");
  EXPECT_EQ(code([](auto& j) {
              for (int i = 0; i < 80; ++i)
                j["added_tokens"].push_back(
                    test::added_token(270 + i, std::string(60'000, static_cast<char>('0' + i))));
            }),
            "limit.added_tokens");
  BpeBuilder builder(BpeAlphabet::bytes, "f", "vocab", "merges");
  EXPECT_EQ(code_of([&] { builder.reserve(10, 10'000'000); }), "limit.merges");
  EXPECT_EQ(code_of([&] { builder.reserve(10'000'000, 10); }), "limit.vocabulary");
  const auto bomb = [] { Tokenizer::from_tokenizer_json_text(std::string(1'000'000, '['), "bomb"); };
  EXPECT_EQ(code_of(bomb), "json.depth");
  const test::TemporaryFolder folder;
  const std::string huge = folder.write("tokenizer.json", "{");
  ASSERT_EQ(::truncate(huge.c_str(), off_t{129} << 20), 0);
  EXPECT_EQ(code_of([&] { Tokenizer::from_pretrained(folder.path()); }), "limit.file_size");
}

TEST(TokenizerJsonRows, B12AWordOfAMillionLettersIsEncoded) {
  const Tokenizer t = load(test::tiny_tokenizer());
  const Encoding e = t.encode(std::string(1'000'000, 'l'));
  EXPECT_EQ(e.ids.size(), 500'000U);
  EXPECT_EQ(e.offsets.back().end, 1'000'000U);
}

// Damaged files either load or are refused with an Error; nothing else may come out.
TEST(TokenizerJsonRows, RandomDamageNeverDoesAnythingButRefuse) {
  const std::string sound = test::tiny_tokenizer().dump();
  std::mt19937 random(4);
  int loaded = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = sound;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 20));
          break;
        default:
          text[at] = "0123456789-[]{}\",: "[random() % 19];
      }
    }
    try {
      Tokenizer::from_tokenizer_json_text(text, "damaged").encode("hello <|a|> world");
      ++loaded;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(loaded, 0);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace safetylock
