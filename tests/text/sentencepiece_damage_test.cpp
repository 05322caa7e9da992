// Damaged models: row T11 of the threat model. Each is refused with a clear error, or it is a sound model and
// works.
#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>

#include "base/utf8.h"
#include "safetylock/error.h"
#include "support/temporary.h"
#include "text/sentencepiece_model.h"
#include "text/tiny_sentencepiece.h"
#include "text/tokenizer_digest.h"

namespace safetylock {
namespace {

const std::string kTexts[] = {"",
                              "hello world",
                              "  a\tb\nc  ",
                              "na\u00EFve \u4E2D\u6587 \U0001F600",
                              "\uFB01 a\u030A\u0301 \u2026\u00AD",
                              "<s></s><sep>[MASK]<ctl>",
                              std::string(300, 'a'),
                              std::string("\0x", 2)};

// Encodes and decodes; what comes out has a place in the text and is in the vocabulary.
std::vector<TokenId> use(const SubwordModel& model, bool parse_special) {
  std::vector<TokenId> all;
  const auto encoder = model.encoder(parse_special);
  for (const std::string& text : kTexts) {
    std::vector<SubwordToken> tokens;
    if (!text.empty()) encoder->encode(text, true, tokens);
    std::vector<SubwordModel::Piece> pieces;
    for (const SubwordToken& token : tokens) {
      EXPECT_LE(token.begin, token.end);
      EXPECT_LE(token.end, text.size());
      EXPECT_LT(static_cast<size_t>(token.id), model.size());
      pieces.push_back({token.id, std::nullopt});
      all.push_back(token.id);
    }
    EXPECT_FALSE(utf8::find_invalid(model.decode(pieces)));
    model.decode_bytes(pieces);
  }
  return all;
}

struct Outcome {
  std::string digest;
  std::vector<TokenId> ids;
};

// Nothing when the bytes are refused. Any exception but Error ends the test.
std::optional<Outcome> try_alone(const std::string& bytes) {
  try {
    const BareSentencePieceModel model(read_sentencepiece_file(bytes, "damaged"), "damaged");
    Outcome out{tokenizer_digest(model, Normalizer(), {}), use(model, false)};
    use(model, true);
    return out;
  } catch (const Error& e) {
    EXPECT_FALSE(e.fields().code.empty());
    EXPECT_EQ(e.fields().file, "damaged") << e.what();
    return std::nullopt;
  }
}

std::optional<Outcome> try_under_rules(const std::string& bytes) {
  try {
    SentencePieceFile file = read_sentencepiece_file(bytes, "damaged");
    if (file.algorithm != SentencePieceFile::Algorithm::bpe || !file.byte_fallback) return std::nullopt;
    const TransformersSentencePieceModel model(std::move(file), {}, {PrefixSpace::first, true, false},
                                               "damaged");
    return Outcome{tokenizer_digest(model, Normalizer(), {}), use(model, true)};
  } catch (const Error& e) {
    EXPECT_EQ(e.fields().file, "damaged") << e.what();
    return std::nullopt;
  }
}

struct Count {
  int refused = 0, other_digest = 0, same = 0;

  void add(const std::optional<Outcome>& now, const Outcome& sound) {
    if (!now) {
      ++refused;
    } else if (now->digest != sound.digest) {
      ++other_digest;
    } else {
      ++same;
      EXPECT_EQ(now->ids, sound.ids) << "the same digest, other ids";
    }
  }
};

template <typename Try>
Count damage_every_byte(const std::string& sound, Try&& attempt) {
  Count count;
  const auto original = attempt(sound);
  EXPECT_TRUE(original);
  if (!original) return count;
  for (size_t i = 0; i < sound.size(); ++i) {
    for (const unsigned char change : {0x01, 0x80, 0xFF}) {
      std::string damaged = sound;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ change);
      count.add(attempt(damaged), *original);
    }
  }
  return count;
}

// Small, and with all that a model can hold but byte pieces.
std::string small_unigram() {
  SentencePieceFile file = test::tiny_sentencepiece();
  file.pieces.erase(file.pieces.begin() + 3, file.pieces.begin() + 259);
  file.algorithm = SentencePieceFile::Algorithm::unigram;
  file.byte_fallback = false;
  file.remove_extra_whitespaces = true;
  file.charsmap = test::CharsmapBuilder().rule("\xEF\xAC\x81", "fi").rule("\t", " ").build();
  return file.serialised();
}

TEST(SentencePieceDamage, T11_EveryByteOfASmallUnigramModel) {
  const Count count = damage_every_byte(small_unigram(), try_alone);
  EXPECT_GT(count.refused, 500);
  EXPECT_GT(count.other_digest, 100);
}

TEST(SentencePieceDamage, T11_EveryByteOfASmallBpeModel) {
  const std::string sound = test::tiny_sentencepiece().serialised();
  const Count alone = damage_every_byte(sound, try_alone);
  const Count under_rules = damage_every_byte(sound, try_under_rules);
  EXPECT_GT(alone.refused, 1000);
  EXPECT_GT(under_rules.refused, 1000);
}

TEST(SentencePieceDamage, T11_EveryTruncation) {
  for (const std::string& sound : {test::tiny_sentencepiece().serialised(), small_unigram()}) {
    const auto original = try_alone(sound);
    ASSERT_TRUE(original);
    for (size_t size = 0; size < sound.size(); ++size) {
      const std::string cut = sound.substr(0, size);
      try_under_rules(cut);
      // A file may end between two fields: then it is a model with fewer pieces or other settings.
      if (const auto left = try_alone(cut)) {
        EXPECT_NE(left->digest, original->digest);
      }
    }
  }
}

// Trained models, at random places and several at once.
TEST(SentencePieceDamage, T11_TrainedModels) {
  std::mt19937 random(7);
  for (const char* name : {"llama", "gemma", "unigram", "plain"}) {
    const std::string sound = test::golden(std::string("text/") + name + ".model");
    const auto original = try_alone(sound);
    ASSERT_TRUE(original);
    Count count;
    for (int n = 0; n < 400; ++n) {
      std::string damaged = sound;
      for (size_t k = 1 + random() % 3; k > 0; --k)
        damaged[random() % damaged.size()] = static_cast<char>(random());
      if (random() % 4 == 0) damaged.resize(random() % damaged.size());
      count.add(try_alone(damaged), *original);
      try_under_rules(damaged);
    }
    EXPECT_GT(count.refused, 50) << name;
  }
}

}  // namespace
}  // namespace safetylock
