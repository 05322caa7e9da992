// Tokenizers of tokenizer.model: alone, in a Hugging Face folder, in GGUF metadata.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "safetylock/tokenizer.h"
#include "support/errors.h"
#include "support/gguf_builder.h"
#include "support/temporary.h"
#include "text/control_marker.h"
#include "text/tiny_sentencepiece.h"
#include "text/tiny_tokenizer.h"

namespace safetylock {
namespace {

using test::OrderedJson;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Type = SentencePieceFile::Type;

constexpr int kTemplate = RenderedPrompt::kTemplate;

// Ids of test::tiny_sentencepiece.
constexpr TokenId kBos = 1, kEl = 260, kLo = 261, kEllo = 262, kHello = 263, kSpace = 264, kH = 265, kE = 266,
                  kLess = 272, kMore = 273, kT = 274, kU = 275, kN = 276, kTurn = 277, kBreak = 278;
constexpr TokenId byte_id(unsigned char b) {
  return 3 + TokenId{b};
}

OrderedJson llama_config() {
  return {{"tokenizer_class", "LlamaTokenizer"}, {"legacy", false}};
}

class Folder {
 public:
  explicit Folder(const OrderedJson& config = llama_config(),
                  const SentencePieceFile& model = test::tiny_sentencepiece()) {
    folder_.write("tokenizer_config.json", config.dump());
    folder_.write("tokenizer.model", model.serialised());
  }
  Folder& with(const std::string& name, const OrderedJson& json) {
    folder_.write(name, json.dump());
    return *this;
  }
  Tokenizer load() const { return Tokenizer::from_pretrained(folder_.path()); }
  ErrorFields refusal() const {
    return test::error_of([&] { load(); }).value_or(ErrorFields{"no error", "", "", "", "", ""});
  }
  std::string code() const { return refusal().code; }

 private:
  test::TemporaryFolder folder_;
};

Tokenizer alone(const SentencePieceFile& model = test::tiny_sentencepiece()) {
  const test::TemporaryFolder folder;
  return Tokenizer::from_sentencepiece(folder.write("tokenizer.model", model.serialised()));
}

std::vector<std::pair<size_t, size_t>> offsets_of(const Encoding& e) {
  std::vector<std::pair<size_t, size_t>> out;
  for (const auto& o : e.offsets) out.emplace_back(o.begin, o.end);
  return out;
}

RenderedPrompt prompt(const std::vector<std::pair<std::string, int>>& parts) {
  RenderedPrompt p;
  for (const auto& [text, message] : parts) {
    const size_t begin = p.text.size();
    p.text += text;
    p.spans.push_back({begin, p.text.size(), message});
  }
  return p;
}

// ---- In a folder ------------------------------------------------------------------------------------------

TEST(SentencePiece, LlamaFolderEncodesWithOffsetsAndDecodes) {
  const Tokenizer t = Folder().load();
  const Encoding e = t.encode("hello h\xC3\xA9");
  EXPECT_THAT(e.ids, ElementsAre(kHello, 259, byte_id(0xC3), byte_id(0xA9)));
  EXPECT_THAT(offsets_of(e), ElementsAre(std::pair(0, 5), std::pair(5, 7), std::pair(7, 9), std::pair(7, 9)));
  EXPECT_EQ(t.decode(e.ids), "hello h\xC3\xA9");
  EXPECT_EQ(t.decode({kHello, kHello}), "hello hello");
  EXPECT_EQ(t.decode({kHello, byte_id(0xC3)}), "hello\xEF\xBF\xBD");
  EXPECT_EQ(t.decode_bytes({kHello, byte_id(0xC3)}), "hello\xC3");
  EXPECT_EQ(t.decode({kBos, kHello}), "hello");
  EXPECT_EQ(t.decode({kBos, kHello}, false), "<s> hello");
  EXPECT_EQ(t.vocab_size(), 279);
  EXPECT_EQ(t.token_to_id("\u2581hello"), kHello);
  EXPECT_EQ(t.token_to_id("<s>"), kBos);
  EXPECT_EQ(t.token_to_id("nothing"), std::nullopt);
  EXPECT_TRUE(t.is_special(kBos));
  EXPECT_FALSE(t.is_special(kTurn));
}

TEST(SentencePiece, PrefixSpaceFollowsTheConfiguration) {
  const auto ids = [](const OrderedJson& more, const std::string& text) {
    OrderedJson config = llama_config();
    config.update(more);
    return Folder(config).load().encode(text).ids;
  };
  EXPECT_THAT(ids(OrderedJson::object(), "<s>hello"), ElementsAre(kBos, kH, kEllo))
      << "first: only at the start of the text";
  EXPECT_THAT(ids({{"legacy", true}}, "<s>hello"), ElementsAre(kBos, kHello));
  EXPECT_THAT(ids({{"add_prefix_space", false}}, "hello"), ElementsAre(kH, kEllo));
  EXPECT_THAT(ids({{"add_prefix_space", nullptr}}, "hello"), ElementsAre(kHello));
  EXPECT_THAT(ids(OrderedJson::object(), " hello"), ElementsAre(kHello))
      << "transformers adds none to a space; spm_encode does";
  EXPECT_THAT(alone().encode(" hello").ids, ElementsAre(kSpace, kHello));
}

TEST(SentencePiece, BosAndEosFollowTheConfiguration) {
  OrderedJson config = llama_config();
  EXPECT_THAT(Folder(config).load().encode("hello", {.add_special_tokens = true}).ids, ElementsAre(kHello));
  config.update({{"add_bos_token", true}, {"add_eos_token", true}});
  EXPECT_THAT(Folder(config).load().encode("hello", {.add_special_tokens = true}).ids,
              ElementsAre(kBos, kHello, 2));
  config["bos_token"] = nullptr;
  EXPECT_THAT(Folder(config).load().encode("hello", {.add_special_tokens = true}).ids,
              ElementsAre(kHello, 2));
}

TEST(SentencePiece, TokenizerJsonGoesFirst) {
  Folder folder;
  folder.with("tokenizer.json", test::tiny_tokenizer());
  EXPECT_THAT(folder.load().encode("hello").ids, ElementsAre(259)) << "of tokenizer.json";
  OrderedJson other = test::tiny_tokenizer();
  other["model"]["byte_fallback"] = true;
  EXPECT_EQ(folder.with("tokenizer.json", other).code(), "bpe.unsupported")
      << "no falling back to tokenizer.model";
}

TEST(SentencePiece, ModelsThatTheRulesDoNotFit) {
  const auto code = [](const std::function<void(SentencePieceFile&)>& change) {
    SentencePieceFile model = test::tiny_sentencepiece();
    change(model);
    return Folder(llama_config(), model).code();
  };
  EXPECT_EQ(code([](auto& m) { m.algorithm = SentencePieceFile::Algorithm::unigram; }), "spm.unsupported");
  EXPECT_EQ(code([](auto& m) { m.remove_extra_whitespaces = true; }), "spm.unsupported");
  EXPECT_EQ(code([](auto& m) { m.escape_whitespaces = false; }), "spm.unsupported");
  EXPECT_EQ(code([](auto& m) { m.treat_whitespace_as_suffix = true; }), "spm.unsupported");
  EXPECT_EQ(code([](auto& m) { m.charsmap = test::CharsmapBuilder().rule("a", "b").build(); }),
            "spm.unsupported");
  EXPECT_EQ(code([](auto& m) {
              m.byte_fallback = false;
              m.pieces.erase(m.pieces.begin() + 3, m.pieces.begin() + 259);
            }),
            "spm.unsupported");
}

TEST(SentencePiece, ConfigurationsThatAreRefused) {
  const auto code = [](const OrderedJson& more) {
    OrderedJson config = llama_config();
    config.update(more);
    return Folder(config).code();
  };
  EXPECT_EQ(code(OrderedJson::object()), "no error");
  EXPECT_EQ(code({{"tokenizer_class", "LlamaTokenizerFast"}}), "no error");
  for (const char* name : {"TokenizersBackend", "PreTrainedTokenizerFast", "T5Tokenizer", ""})
    EXPECT_EQ(code({{"tokenizer_class", name}}), "spm.unsupported") << name;
  EXPECT_EQ(Folder(OrderedJson::object()).code(), "cfg.missing") << "no class";
  EXPECT_EQ(code({{"legacy", 1}}), "cfg.type");
  EXPECT_EQ(code({{"sp_model_kwargs", {{"enable_sampling", true}}}}), "spm.unsupported");
  EXPECT_EQ(code({{"sp_model_kwargs", OrderedJson::object()}}), "no error");
  EXPECT_EQ(code({{"split_special_tokens", true}}), "spm.unsupported");
  const test::TemporaryFolder bare;
  bare.write("tokenizer.model", test::tiny_sentencepiece().serialised());
  EXPECT_EQ(test::code_of([&] { Tokenizer::from_pretrained(bare.path()); }), "cfg.missing");
}

TEST(SentencePiece, DeclaredTokensKeepTheirIds) {
  const auto load = [](const OrderedJson& decoder) {
    OrderedJson config = llama_config();
    config["added_tokens_decoder"] = decoder;
    return Folder(config);
  };
  const auto entry = [](const std::string& content, bool special = true) {
    return OrderedJson{{"content", content}, {"special", special}};
  };
  EXPECT_EQ(load({{"1", entry("<s>")}, {"279", entry("[PAD]")}}).load().token_to_id("[PAD]"), 279);
  EXPECT_EQ(load({{"1", entry("<s>")}, {"279", entry("[PAD]")}}).load().vocab_size(), 280);
  EXPECT_EQ(load({{"2", entry("<s>")}}).code(), "spm.added_token") << "the model has it as 1";
  EXPECT_EQ(load({{"280", entry("[PAD]")}}).code(), "spm.added_token") << "a gap";
  EXPECT_EQ(load({{"279", entry("[PAD]")}, {"280", entry("[PAD]")}}).code(), "spm.added_token");
  EXPECT_EQ(load({{"x", entry("[PAD]")}}).code(), "spm.added_token");
  EXPECT_EQ(load({{"-1", entry("[PAD]")}}).code(), "spm.added_token");
  EXPECT_EQ(load({{"99999999999999999999", entry("[PAD]")}}).code(), "spm.added_token");
  EXPECT_EQ(load({{"279", entry("")}}).code(), "spm.added_token");
  EXPECT_EQ(load({{"68", entry("<0x41>")}}).code(), "spm.added_token") << "a byte piece";
  EXPECT_EQ(load({{"279", "[PAD]"}}).code(), "cfg.type");
}

TEST(SentencePiece, FilesOfTransformers4) {
  Folder folder;
  folder.with("added_tokens.json", {{"[PAD]", 279}, {"<x>", 280}})
      .with("special_tokens_map.json", {{"pad_token", "[PAD]"}, {"bos_token", {{"content", "<s>"}}}});
  const Tokenizer t = folder.load();
  EXPECT_TRUE(t.is_special(279));
  EXPECT_FALSE(t.is_special(280));
  EXPECT_THAT(t.encode("h<x>").ids, ElementsAre(259, 280));
  folder.with("special_tokens_map.json", {{"additional_special_tokens", {"<lost>"}}});
  EXPECT_EQ(folder.code(), "spm.added_token") << "transformers 5 would lose it";
}

// ---- Input marking ----------------------------------------------------------------------------------------

TEST(SentencePiece, TypedMarkersStayText) {
  const Tokenizer t = Folder().load();
  const RenderedPrompt p = prompt({{"<s><turn>", kTemplate}, {"h<turn>\n</s>h", 0}, {"<turn>\n", kTemplate}});
  const Encoding safe = t.encode(p);
  EXPECT_THAT(safe.ids, ElementsAre(kBos, kTurn, kH, kLess, kT, kU, 270, kN, kMore, kBreak, kLess,
                                    byte_id('/'), byte_id('s'), kMore, kH, kTurn, kBreak));
  EXPECT_EQ(t.decode(safe.ids, false), p.text) << "nothing is lost; the line break is an ordinary symbol";
  const Encoding trusted = t.encode(p, true);
  EXPECT_EQ(trusted.ids, t.encode(p.text).ids);
  EXPECT_THAT(trusted.ids, ElementsAre(kBos, kTurn, kH, kTurn, kBreak, 2, kH, kTurn, kBreak));
  EXPECT_THAT(t.encode("<turn>\n", {.parse_special_tokens = false}).ids,
              ElementsAre(kSpace, kLess, kT, kU, 270, kN, kMore, kBreak));
}

TEST(SentencePiece, TypedMarkersStayTextForAModelAlone) {
  const Tokenizer t = alone();
  const RenderedPrompt p = prompt({{"<turn>", kTemplate}, {"h<turn></s>", 0}});
  const auto count = [](const Encoding& e, TokenId id) { return std::count(e.ids.begin(), e.ids.end(), id); };
  EXPECT_EQ(count(t.encode(p), kTurn), 1) << "the template's own";
  EXPECT_EQ(count(t.encode(p), 2), 0);
  EXPECT_EQ(count(t.encode(p, true), kTurn), 2);
  EXPECT_EQ(t.encode(p, true).ids, t.encode(p.text).ids);
}

TEST(SentencePiece, ChatControlTokensOfTheConfigurationCount) {
  SentencePieceFile model = test::tiny_sentencepiece();
  model.pieces.push_back({"USER:", 0, Type::user_defined});
  OrderedJson config = llama_config();
  const RenderedPrompt typed = prompt({{"USER:", 0}});
  EXPECT_THAT(Folder(config, model).load().encode(typed).ids, ElementsAre(279));
  config["chat_control_tokens"] = {"USER:"};
  EXPECT_THAT(Folder(config, model).load().encode(typed).ids, testing::Not(ElementsAre(279)));
}

// sentencepiece gives a lone character spelled like a control piece that piece's id.
TEST(SentencePiece, ControlPiecesOfOneCharacterAreNeverReadFromText) {
  SentencePieceFile model = test::tiny_sentencepiece();
  model.pieces.push_back({"\xC2\xA7", 0, Type::control});
  model.pieces.push_back({"\xC2\xA7\xC2\xA7", 0, Type::control});
  const RenderedPrompt typed = prompt({{"\xC2\xA7", 0}});
  EXPECT_THAT(Folder(llama_config(), model).load().encode(typed).ids,
              ElementsAre(kSpace, byte_id(0xC2), byte_id(0xA7)));
}

TEST(SentencePiece, WhichSymbolsAreMarkers) {
  for (const char* marker :
       {"<start_of_turn>", "<|im_end|>", "[INST]", "</s>", "<s>", "<unused0>", "{{user}}", "<body>",
        "<\uFF5CUser\uFF5C>", "\u2581<x>", "|end|", "<\u7528\u6237>"}) {
    EXPECT_TRUE(is_control_marker(marker)) << marker;
  }
  for (const char* text : {"\n", "\n\n", "\u2581\u2581", "<table>", "</table>", "<b>", "</h1>", "{}",
                           "<=", "[", "||", "word", "USER:", "7", "\u2581the", "->", "<\u2581>"}) {
    EXPECT_FALSE(is_control_marker(text)) << text;
  }
}

// ---- A model alone ----------------------------------------------------------------------------------------

TEST(SentencePiece, AModelAloneEncodesAsSpmEncode) {
  const Tokenizer t = alone();
  EXPECT_THAT(t.encode("hello").ids, ElementsAre(kHello));
  EXPECT_THAT(t.encode("<s>hello", {.parse_special_tokens = false}).ids,
              ElementsAre(kSpace, kLess, byte_id('s'), kMore, kH, kEllo));
  EXPECT_THAT(t.encode("<s>hello").ids, ElementsAre(kBos, kHello));
  EXPECT_THAT(t.encode("h<turn>h", {.parse_special_tokens = false}).ids, ElementsAre(259, kTurn, kH));
  EXPECT_EQ(t.decode({kHello, kHello, kTurn}), "hello hello<turn>");
  EXPECT_EQ(t.decode({0}), " \u2047 ");
  EXPECT_EQ(t.decode({kBos, kHello}, false), "<s> hello");
}

TEST(SentencePiece, TextsHaveALimit) {
  const Tokenizer t = Folder().load();
  EXPECT_EQ(test::code_of([&] { t.encode(std::string((size_t{4} << 20) + 1, 'h')); }), "limit.text");
  EXPECT_EQ(test::code_of([&] { t.encode("\xFF"); }), "arg.prompt");
  EXPECT_TRUE(t.encode("").ids.empty());
}

TEST(SentencePiece, DigestChangesWithEverythingThatDecidesIds) {
  const std::string base = Folder().load().digest();
  EXPECT_EQ(Folder().load().digest(), base);
  EXPECT_NE(alone().digest(), base) << "other rules";
  OrderedJson config = llama_config();
  config["legacy"] = true;
  EXPECT_NE(Folder(config).load().digest(), base);
  config = llama_config();
  config["added_tokens_decoder"] = {{"279", {{"content", "<x>"}}}};
  EXPECT_NE(Folder(config).load().digest(), base);
  const auto changed = [](const std::function<void(SentencePieceFile&)>& change) {
    SentencePieceFile model = test::tiny_sentencepiece();
    change(model);
    return Folder(llama_config(), model).load().digest();
  };
  EXPECT_NE(changed([](auto& m) { m.pieces[260].text = "xx"; }), base);
  EXPECT_NE(changed([](auto& m) { m.pieces[260].score = -0.5F; }), base);
  EXPECT_NE(changed([](auto& m) { m.pieces[260].type = Type::unused; }), base);
  EXPECT_NE(changed([](auto& m) { m.add_dummy_prefix = false; }), base);
  EXPECT_NE(changed([](auto& m) { m.unknown_surface = "?"; }), base);
}

TEST(SentencePiece, IsUsedFromSeveralThreads) {
  const Tokenizer t = Folder().load();
  const std::string text = "hello h\xC3\xA9 <turn>\n hello";
  const auto expected = t.encode(text).ids;
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t i = 0; i < wrong.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 500; ++n) wrong[i] += t.encode(text).ids == expected ? 0 : 1;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

// ---- In GGUF metadata -------------------------------------------------------------------------------------

test::GgufBuilder gguf_of(const SentencePieceFile& model, const std::string& architecture = "llama") {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const auto& piece : model.pieces) {
    tokens.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<std::int32_t>(piece.type));
  }
  test::GgufBuilder b;
  b.string("general.architecture", architecture).string("tokenizer.ggml.model", "llama");
  b.strings("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
  b.f32s("tokenizer.ggml.scores", scores);
  b.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
  return b;
}

Tokenizer load(const test::GgufBuilder& b) {
  const test::TemporaryFolder folder;
  return Tokenizer::from_pretrained(folder.write("model.gguf", b.build()));
}

TEST(SentencePieceGguf, EncodesAsTheFolder) {
  const Tokenizer t = load(gguf_of(test::tiny_sentencepiece()));
  EXPECT_THAT(t.encode("hello h\xC3\xA9<turn>").ids,
              ElementsAre(kHello, 259, byte_id(0xC3), byte_id(0xA9), kTurn));
  EXPECT_THAT(t.encode("hello", {.add_special_tokens = true}).ids, ElementsAre(kBos, kHello));
  EXPECT_EQ(t.decode({kBos, kHello}), "hello");
  EXPECT_THAT(t.encode(prompt({{"<turn>", 0}})).ids, ElementsAre(kSpace, kLess, kT, kU, 270, kN, kMore));
}

TEST(SentencePieceGguf, G13_WhatIsRefused) {
  const auto code = [](const std::function<void(SentencePieceFile&, test::GgufBuilder&)>& change,
                       const std::string& architecture = "llama") {
    SentencePieceFile model = test::tiny_sentencepiece();
    test::GgufBuilder unused;
    change(model, unused);
    test::GgufBuilder b = gguf_of(model, architecture);
    SentencePieceFile again = test::tiny_sentencepiece();
    change(again, b);
    return test::code_of([&] { load(b); });
  };
  EXPECT_EQ(code([](auto&, auto&) {}), "no error");
  EXPECT_EQ(code([](auto&, auto&) {}, "gemma3n"), "spm.unsupported");
  EXPECT_EQ(code([](auto&, auto&) {}, "phi3"), "no error");
  EXPECT_EQ(code([](auto&, auto&) {}, "gemma3"), "no error");
  EXPECT_EQ(code([](auto&, auto& b) { b.boolean("tokenizer.ggml.add_space_prefix", true); }, "gemma3"),
            "spm.unsupported");
  EXPECT_EQ(code([](auto&, auto& b) { b.strings("tokenizer.ggml.merges", {"h e"}); }), "spm.unsupported");
  EXPECT_EQ(code([](auto&, auto& b) { b.boolean("tokenizer.ggml.add_space_prefix", false); }),
            "spm.unsupported");
  EXPECT_EQ(code([](auto&, auto& b) { b.remove("tokenizer.ggml.scores"); }), "cfg.missing");
  EXPECT_EQ(code([](auto&, auto& b) { b.remove("tokenizer.ggml.token_type"); }), "cfg.missing");
  EXPECT_EQ(code([](auto&, auto& b) {
              b.remove("tokenizer.ggml.scores").f32s("tokenizer.ggml.scores", {1, 2});
            }),
            "spm.piece");
  EXPECT_EQ(code([](auto&, auto& b) {
              b.remove("tokenizer.ggml.scores").i32s("tokenizer.ggml.scores", {1, 2});
            }),
            "cfg.type");
  EXPECT_EQ(code([](auto& m, auto&) { m.pieces[5].type = static_cast<Type>(9); }), "spm.piece");
  EXPECT_EQ(code([](auto& m, auto&) { m.pieces[5].text = "<0xZZ>"; }), "spm.byte_piece");
  EXPECT_EQ(code([](auto& m, auto&) { m.pieces[260].text = "lo"; }), "spm.piece");
  EXPECT_EQ(code([](auto& m, auto&) { m.pieces[0].type = Type::normal; }), "spm.unk");
  EXPECT_EQ(code([](auto&, auto& b) {
              b.remove("tokenizer.ggml.bos_token_id").u32("tokenizer.ggml.bos_token_id", 279);
            }),
            "cfg.range");
}

}  // namespace
}  // namespace safetylock
