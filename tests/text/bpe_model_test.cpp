// BPE against its definition (merge the best pair until none is left), and its cost.
#include "text/bpe_model.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace safetylock {
namespace {

using Merge = std::pair<std::string, std::string>;

struct Rules {
  std::vector<std::string> tokens;
  std::vector<Merge> merges;
};

// Random merges over "abc": each joins two tokens that exist already.
Rules random_rules(std::mt19937& random, size_t merges) {
  Rules r{{"a", "b", "c"}, {}};
  while (r.merges.size() < merges) {
    const Merge m{r.tokens[random() % r.tokens.size()], r.tokens[random() % r.tokens.size()]};
    if (std::find(r.merges.begin(), r.merges.end(), m) != r.merges.end()) continue;
    const std::string joined = m.first + m.second;
    if (std::find(r.tokens.begin(), r.tokens.end(), joined) == r.tokens.end()) r.tokens.push_back(joined);
    r.merges.push_back(m);
  }
  return r;
}

BpeModel make_model(const Rules& rules, bool ignore_merges = false) {
  Vocabulary vocabulary;
  for (const auto& t : rules.tokens) EXPECT_TRUE(vocabulary.append(t));
  BpeModel model(std::move(vocabulary), BpeAlphabet::bytes, ignore_merges);
  for (const auto& [left, right] : rules.merges) {
    EXPECT_EQ(model.add_merge(*model.vocabulary().find(left), *model.vocabulary().find(right)),
              MergeError::none);
  }
  return model;
}

std::vector<std::string> encode(const BpeModel& model, const std::string& word) {
  BpeModel::Scratch scratch;
  std::vector<BpeModel::Token> tokens;
  model.encode(word, scratch, tokens);
  std::vector<std::string> out;
  for (const auto& t : tokens) {
    EXPECT_EQ(model.vocabulary().bytes(t.id), word.substr(t.begin, t.end - t.begin));
    out.emplace_back(model.vocabulary().bytes(t.id));
  }
  return out;
}

// The definition, in quadratic time.
std::vector<std::string> encode_by_definition(const Rules& rules, const std::string& word) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  while (true) {
    size_t best = rules.merges.size(), at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto it = std::find(rules.merges.begin(), rules.merges.end(), Merge{parts[i], parts[i + 1]});
      const auto rank = static_cast<size_t>(it - rules.merges.begin());
      if (rank < best) best = rank, at = i;
    }
    if (best == rules.merges.size()) return parts;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(BpeModel, EqualsItsDefinitionOnRandomMergesAndWords) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const Rules rules = random_rules(random, 3 + random() % 20);
    const BpeModel model = make_model(rules);
    for (int n = 0; n < 20; ++n) {
      std::string word(1 + random() % 30, 'a');
      for (char& c : word) c = static_cast<char>('a' + random() % 3);
      ASSERT_EQ(encode(model, word), encode_by_definition(rules, word)) << word;
    }
  }
}

TEST(BpeModel, IgnoreMergesTakesAWholeWordThatIsAToken) {
  const Rules rules{{"a", "b", "c", "ab", "abc"}, {{"a", "b"}}};  // no merge leads to "abc"
  EXPECT_EQ(encode(make_model(rules, false), "abc"), (std::vector<std::string>{"ab", "c"}));
  EXPECT_EQ(encode(make_model(rules, true), "abc"), (std::vector<std::string>{"abc"}));
  EXPECT_EQ(encode(make_model(rules, true), "abcb"), (std::vector<std::string>{"ab", "c", "b"}));
}

TEST(BpeModel, BytesWithoutATokenAreLeftOut) {
  const Rules rules{{"a", "b", "ab"}, {{"a", "b"}}};
  BpeModel::Scratch scratch;
  std::vector<BpeModel::Token> tokens;
  const BpeModel model = make_model(rules);
  model.encode("xaxbx", scratch, tokens);
  ASSERT_EQ(tokens.size(), 1U);
  EXPECT_EQ(tokens[0].begin, 1U);
  EXPECT_EQ(tokens[0].end, 4U);
  tokens.clear();
  model.encode("xyz", scratch, tokens);
  EXPECT_TRUE(tokens.empty());
}

// B12: one word of a million letters must not take quadratic time.
TEST(BpeModel, B12MergeOperationsGrowLinearly) {
  const BpeModel model =
      make_model({{"a", "b", "c", "aa", "aaaa", "aaaaaaaa"}, {{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}}});
  for (const size_t length : {1000U, 10'000U, 1'000'000U}) {
    BpeModel::Scratch scratch;
    std::vector<BpeModel::Token> tokens;
    model.encode(std::string(length, 'a'), scratch, tokens);
    EXPECT_EQ(tokens.size(), length / 8);
    EXPECT_GE(scratch.merge_operations(), length - length / 8) << "every merge is at least one operation";
    EXPECT_LE(scratch.merge_operations(), 3 * length);
  }
}

TEST(BpeModel, ReportsMergesItCannotTake) {
  Vocabulary vocabulary;
  for (const char* t : {"a", "b", "ab"}) vocabulary.append(t);
  BpeModel model(std::move(vocabulary), BpeAlphabet::bytes, false);
  EXPECT_EQ(model.add_merge(0, 1), MergeError::none);
  EXPECT_EQ(model.add_merge(0, 1), MergeError::duplicate);
  EXPECT_EQ(model.add_merge(1, 0), MergeError::unknown_result);
}

TEST(Vocabulary, FindsWhatWasAppendedAndNothingElse) {
  Vocabulary vocabulary;
  std::map<std::string, TokenId> truth;
  std::mt19937 random(2);
  for (int i = 0; i < 5000; ++i) {
    std::string token(random() % 4, '\0');
    for (char& c : token) c = static_cast<char>(random());
    const bool fresh = truth.emplace(token, static_cast<TokenId>(vocabulary.size())).second;
    ASSERT_EQ(vocabulary.append(token), fresh);
  }
  for (const auto& [token, id] : truth) {
    ASSERT_EQ(vocabulary.find(token), id);
    ASSERT_EQ(vocabulary.bytes(id), token);
    ASSERT_EQ(vocabulary.find(token + "longer than any"), std::nullopt);
  }
  vocabulary.append_unsearchable("hidden");
  EXPECT_EQ(vocabulary.find("hidden"), std::nullopt);
  EXPECT_EQ(vocabulary.bytes(static_cast<TokenId>(truth.size())), "hidden");
}

}  // namespace
}  // namespace safetylock
