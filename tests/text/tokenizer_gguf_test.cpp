// Tokenizers in GGUF metadata: what is read, and row G13 of what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "safetylock/tokenizer.h"
#include "support/errors.h"
#include "support/gguf_builder.h"
#include "support/temporary.h"
#include "text/tiny_tokenizer.h"

namespace safetylock {
namespace {

using test::GgufBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Parts {
  std::string model = "gpt2", pre = "gpt-2";
  std::vector<std::string> tokens = test::tiny_tokens();
  std::vector<std::string> merges;
  std::vector<std::int32_t> types;
  std::function<void(GgufBuilder&)> more = [](GgufBuilder&) {};
};

Parts sound() {
  Parts p;
  for (const char* t : {"<|a|>", "<|b|>", "<tool>"}) p.tokens.emplace_back(t);
  for (const auto& [left, right] : test::tiny_merges()) p.merges.push_back(left + " " + right);
  p.types.assign(267, 1);
  p.types.insert(p.types.end(), {3, 3, 4});
  return p;
}

Tokenizer load(const Parts& p) {
  GgufBuilder b;
  b.string("general.architecture", "llama").string("tokenizer.ggml.model", p.model);
  if (!p.pre.empty()) b.string("tokenizer.ggml.pre", p.pre);
  b.strings("tokenizer.ggml.tokens", p.tokens).strings("tokenizer.ggml.merges", p.merges);
  if (!p.types.empty()) b.i32s("tokenizer.ggml.token_type", p.types);
  p.more(b);
  const test::TemporaryFolder folder;
  return Tokenizer::from_pretrained(folder.write("model.gguf", b.build()));
}

ErrorFields refusal(const std::function<void(Parts&)>& change) {
  Parts p = sound();
  change(p);
  return test::error_of([&] { load(p); }).value_or(ErrorFields{"no error", "", "", "", "", ""});
}

std::string code(const std::function<void(Parts&)>& change) {
  return refusal(change).code;
}

TEST(TokenizerGguf, IsTheTokenizerOfTheSameTokenizerJson) {
  test::OrderedJson json = test::tiny_tokenizer();
  int id = 267;
  for (const char* t : {"<|a|>", "<|b|>", "<tool>"}) json["model"]["vocab"][t] = id++;
  EXPECT_EQ(load(sound()).digest(), Tokenizer::from_tokenizer_json_text(json.dump(), "tiny").digest());
}

TEST(TokenizerGguf, ReadsBosAndEos) {
  Parts p = sound();
  p.more = [](GgufBuilder& b) {
    b.u32("tokenizer.ggml.bos_token_id", 267)
        .u32("tokenizer.ggml.eos_token_id", 259)
        .boolean("tokenizer.ggml.add_bos_token", true);
    b.boolean("tokenizer.ggml.add_eos_token", false);
  };
  const Tokenizer t = load(p);
  EXPECT_THAT(t.encode("hello").ids, ElementsAre(259));
  EXPECT_THAT(t.encode(" world", {.add_special_tokens = true}).ids, ElementsAre(267, 264));
  EXPECT_TRUE(t.is_special(259)) << "a token with a role is a control token whatever its type says";
}

TEST(TokenizerGguf, PreTokenizersFollowTheirName) {
  const auto pieces = [](const std::string& pre) {
    Parts p = sound();
    p.pre = pre;
    return load(p).encode("1111").ids;
  };
  EXPECT_THAT(pieces("gpt-2"), ElementsAre(265, 265));
  EXPECT_THAT(pieces("smollm"), ElementsAre(265, 265));
  EXPECT_THAT(pieces("llama-bpe"), ElementsAre(266, '1'));
  EXPECT_THAT(pieces("qwen2"), ElementsAre('1', '1', '1', '1'));
}

TEST(TokenizerGguf, G13UnknownModelOrPreTokenizerIsRefused) {
  EXPECT_EQ(code([](Parts& p) { p.model = "t5"; }), "bpe.unsupported");
  for (const char* pre : {"", "default", "qwen3", "gpt-2\n", "GPT-2"}) {
    EXPECT_EQ(code([&](Parts& p) { p.pre = pre; }), "bpe.pretokenizer") << pre;
  }
  EXPECT_THAT(refusal([](Parts& p) { p.pre = "viking"; }).found, HasSubstr("viking"));
}

TEST(TokenizerGguf, G13ListsOfDifferentLengthsAreRefused) {
  EXPECT_EQ(code([](Parts& p) { p.types.pop_back(); }), "bpe.token_type");
  EXPECT_EQ(code([](Parts& p) { p.types.push_back(1); }), "bpe.token_type");
  EXPECT_EQ(code([](Parts& p) { p.types[7] = 0; }), "bpe.token_type");
  EXPECT_EQ(code([](Parts& p) { p.types[7] = 7; }), "bpe.token_type");
  const auto scores = [](size_t n) {
    return code([n](Parts& p) {
      p.more = [n](GgufBuilder& b) {
        const std::vector<float> values(n, 0.5F);
        b.raw("tokenizer.ggml.scores", GgufBuilder::kArray,
              test::bytes_of(std::uint32_t{GgufBuilder::kF32}) + test::bytes_of(std::uint64_t{n}) +
                  test::bytes_of_all(values));
      };
    });
  };
  EXPECT_EQ(scores(270), "no error");
  EXPECT_EQ(scores(269), "bpe.scores");
}

TEST(TokenizerGguf, G13WrongMergesAreRefused) {
  EXPECT_EQ(code([](Parts& p) { p.merges[1] = "l zz"; }), "bpe.merge_unknown");
  EXPECT_EQ(code([](Parts& p) { p.merges[1] = "h o"; }), "bpe.merge_unknown");
  EXPECT_EQ(code([](Parts& p) { p.merges[1] = "ll"; }), "bpe.merge_syntax");
  EXPECT_EQ(code([](Parts& p) { p.merges.push_back("h e"); }), "bpe.merge_duplicate");
  EXPECT_THAT(refusal([](Parts& p) { p.merges[4] = "x y z"; }).where, HasSubstr("rank 4"));
}

TEST(TokenizerGguf, G13WrongTokensAreRefused) {
  EXPECT_EQ(code([](Parts& p) { p.tokens[269] = p.tokens[3]; }), "bpe.vocab_id");
  EXPECT_EQ(code([](Parts& p) { p.tokens[269] = "a b"; }), "bpe.vocab_key");
  EXPECT_EQ(code([](Parts& p) { p.tokens[269] = "\xFF\xFE"; }), "bpe.vocab_key");
  EXPECT_EQ(code([](Parts& p) { p.tokens[269] = ""; }), "bpe.vocab_key");
  EXPECT_EQ(code([](Parts& p) { p.tokens['q'] = "qqqq"; }), "bpe.byte_alphabet");
}

TEST(TokenizerGguf, G13IdsOutOfRangeAreRefused) {
  for (const char* role : {"bos", "eos", "unknown", "padding"}) {
    const auto error = refusal([&](Parts& p) {
      p.more = [&](GgufBuilder& b) { b.u32(std::string("tokenizer.ggml.") + role + "_token_id", 270); };
    });
    EXPECT_EQ(error.code, "bpe.vocab_id") << role;
    EXPECT_THAT(error.where, HasSubstr(role));
  }
}

TEST(TokenizerGguf, FileWithoutATokenizerIsNamed) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("m.gguf", test::tiny_gguf("llama").build());
  EXPECT_EQ(test::code_of([&] { Tokenizer::from_pretrained(path); }), "cfg.missing");
}

}  // namespace
}  // namespace safetylock
