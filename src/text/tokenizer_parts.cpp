#include "text/tokenizer_parts.h"

#include <unordered_set>

#include "base/log.h"
#include "safetylock/error.h"
#include "text/byte_alphabet.h"

namespace safetylock {
namespace {

std::string quoted(std::string_view text) {
  return "\"" + escape_untrusted(text, 80) + "\"";
}

// Bytes that a vocabulary trained on text may lack: never in UTF-8, or only in control characters and planes
// without characters. SmolLM2 lacks 21 of them.
bool may_be_missing(unsigned b) {
  const bool control = b < 0x20 && b != '\t' && b != '\n' && b != '\r';
  const bool never_in_utf8 = b == 0xC0 || b == 0xC1 || b >= 0xF5;
  const bool empty_planes = b == 0xF1 || b == 0xF2;
  return control || never_in_utf8 || empty_planes || b == 0x7F;
}

std::string hex_byte(unsigned b) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'0', 'x', kDigits[b >> 4], kDigits[b & 15]};
}

}  // namespace

BpeBuilder::BpeBuilder(BpeAlphabet alphabet, std::string file, std::string vocabulary_place,
                       std::string merges_place)
    : alphabet_(alphabet),
      file_(std::move(file)),
      vocabulary_place_(std::move(vocabulary_place)),
      merges_place_(std::move(merges_place)) {}

void BpeBuilder::fail(const std::string& code, const std::string& where, const std::string& expected,
                      const std::string& found, const std::string& hint) const {
  throw Error({code, file_, where, expected, found, hint});
}

void BpeBuilder::reserve(size_t tokens, size_t merges) {
  if (tokens > kMaxVocabulary) {
    fail("limit.vocabulary", vocabulary_place_, "at most " + std::to_string(kMaxVocabulary) + " tokens",
         std::to_string(tokens));
  }
  if (merges > kMaxMerges) {
    fail("limit.merges", merges_place_, "at most " + std::to_string(kMaxMerges) + " merges",
         std::to_string(merges));
  }
  vocabulary_.reserve(tokens, 8 * tokens);
  expected_merges_ = merges;
}

void BpeBuilder::check_token_count(std::string_view spelling) const {
  if (spelling.size() > kMaxTokenBytes) {
    fail("limit.token_bytes", vocabulary_place_,
         "tokens of at most " + std::to_string(kMaxTokenBytes) + " bytes", std::to_string(spelling.size()));
  }
}

std::optional<std::string> BpeBuilder::bytes_of(std::string_view spelling) const {
  if (alphabet_ == BpeAlphabet::characters) return std::string(spelling);
  return byte_alphabet::to_bytes(spelling);
}

void BpeBuilder::add_token(std::string_view spelling) {
  check_token_count(spelling);
  const std::string where = vocabulary_place_;
  const auto bytes = bytes_of(spelling);
  if (!bytes || bytes->empty()) {
    const bool characters = alphabet_ == BpeAlphabet::characters;
    fail("bpe.vocab_key", where,
         characters ? "tokens that are not empty" : "tokens spelled in the byte alphabet of byte-level BPE",
         quoted(spelling) + ", id " + std::to_string(vocabulary_.size()),
         characters
             ? ""
             : "This is not a byte-level BPE vocabulary, or its control tokens are not marked as such");
  }
  add_bytes(*bytes);
}

void BpeBuilder::add_bytes(std::string_view bytes) {
  check_token_count(bytes);
  if (vocabulary_.append(bytes)) return;
  fail("bpe.vocab_id", vocabulary_place_, "each token once",
       quoted(bytes) + " with ids " + std::to_string(*vocabulary_.find(bytes)) + " and " +
           std::to_string(vocabulary_.size()));
}

void BpeBuilder::add_added_token(std::string_view content) {
  check_token_count(content);
  const auto bytes = bytes_of(content);
  if (bytes && !bytes->empty()) {
    add_token(content);
  } else {
    vocabulary_.append_unsearchable(content);
  }
}

void BpeBuilder::finish_vocabulary(bool ignore_merges, const std::vector<AddedToken>& added) {
  model_.emplace(std::move(vocabulary_), alphabet_, ignore_merges);
  model_->reserve_merges(expected_merges_);
  check_bytes();
  forbid_control_tokens(added);
}

// A control token of one byte that text holds too (some files pad with "!") cannot be told from it.
void BpeBuilder::forbid_control_tokens(const std::vector<AddedToken>& added) {
  std::unordered_set<TokenId> byte_tokens;
  for (unsigned b = 0; b < 256; ++b) {
    if (const auto id = model_->byte_token(static_cast<unsigned char>(b))) byte_tokens.insert(*id);
  }
  for (const AddedToken& token : added) {
    if (!token.control || token.id < 0 || static_cast<size_t>(token.id) >= vocabulary().size()) continue;
    if (!byte_tokens.contains(token.id)) {
      model_->forbid(token.id);
    } else if (alphabet_ == BpeAlphabet::characters) {
      fail("bpe.added_token", vocabulary_place_, "control tokens that are not the token of a byte",
           quoted(token.content) + ", id " + std::to_string(token.id));
    }
  }
}

void BpeBuilder::check_bytes() const {
  std::string left_out;
  for (unsigned b = 0; b < 256; ++b) {
    if (model_->byte_token(static_cast<unsigned char>(b))) continue;
    if (alphabet_ == BpeAlphabet::characters || !may_be_missing(b)) {
      fail("bpe.byte_alphabet", vocabulary_place_, "a token for each byte that text is made of",
           "none for byte " + hex_byte(b), "Some prompts could not be encoded");
    }
    left_out += (left_out.empty() ? "" : " ") + hex_byte(b);
  }
  if (!left_out.empty()) {
    log::debug(
        "{}: the vocabulary has no token for bytes {}; they are left out of prompts, as Hugging Face does",
        escape_untrusted(file_), left_out);
  }
}

std::string BpeBuilder::merge_place() const {
  return merges_place_ + ", rank " + std::to_string(merge_rank_);
}

TokenId BpeBuilder::merge_part(std::string_view spelling) const {
  const auto bytes = bytes_of(spelling);
  const auto id = bytes ? vocabulary().find(*bytes) : std::nullopt;
  if (!id) fail("bpe.merge_unknown", merge_place(), "parts that are tokens", quoted(spelling));
  return *id;
}

void BpeBuilder::add_merge(std::string_view left, std::string_view right) {
  switch (model_->add_merge(merge_part(left), merge_part(right))) {
    case MergeError::none:
      ++merge_rank_;
      return;
    case MergeError::unknown_result:
      fail("bpe.merge_unknown", merge_place(), "a result that is a token",
           quoted(std::string(left).append(right)));
    case MergeError::duplicate:
      fail("bpe.merge_duplicate", merge_place(), "each merge once", quoted(left) + " + " + quoted(right));
  }
}

void BpeBuilder::add_merge(std::string_view line) {
  const size_t space = line.find(' ');
  const bool sound = space != std::string_view::npos && space > 0 && space + 1 < line.size() &&
                     line.find(' ', space + 1) == std::string_view::npos;
  if (!sound) fail("bpe.merge_syntax", merge_place(), "two parts with one space between", quoted(line));
  add_merge(line.substr(0, space), line.substr(space + 1));
}

void check_added_tokens(const std::vector<AddedToken>& tokens, const SubwordModel& model,
                        const Normalizer& normalizer, const std::string& file, const std::string& place) {
  const auto fail = [&](size_t i, const std::string& expected, const std::string& found) {
    throw Error({"bpe.added_token", file, place + "/" + std::to_string(i), expected, found, ""});
  };
  if (tokens.size() > kMaxAddedTokens) {
    throw Error({"limit.added_tokens", file, place, "at most " + std::to_string(kMaxAddedTokens),
                 std::to_string(tokens.size()), ""});
  }
  std::unordered_set<TokenId> ids;
  std::unordered_set<std::string> contents, normalized_contents;
  size_t bytes_of_all = 0;
  auto next_id = static_cast<TokenId>(model.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const AddedToken& t = tokens[i];
    const std::string found = quoted(t.content) + " with id " + std::to_string(t.id);
    if (t.content.empty()) fail(i, "a content", "an empty string");
    bytes_of_all += t.content.size();
    if (bytes_of_all > kMaxAddedTokenBytes) {
      throw Error({"limit.added_tokens", file, place,
                   "contents of at most " + std::to_string(kMaxAddedTokenBytes) + " bytes together", "more",
                   ""});
    }
    if (!ids.insert(t.id).second) fail(i, "each id once", found);
    if (!contents.insert(t.content).second) fail(i, "each content once", found);
    const NormalizedText content = normalizer(t.content);
    if (t.normalized && !normalized_contents.emplace(content.text()).second) {
      fail(i, "contents that differ after normalisation", found);
    }
    const auto own = model.find(t.content);
    if (own) {
      if (*own != t.id) fail(i, "the id it has in the vocabulary, " + std::to_string(*own), found);
    } else if (t.id >= 0 && static_cast<size_t>(t.id) < model.size()) {
      if (model.bytes(t.id) != t.content) fail(i, "an id that no other token has", found);
    } else if (t.id != next_id++) {
      fail(i, "the next id after the vocabulary, " + std::to_string(next_id - 1), found);
    }
  }
}

}  // namespace safetylock
