#include "pipeline/reply_sequences.h"

#include <algorithm>

#include "safetylock/error.h"
#include "text/chat_sequence.h"

namespace safetylock {
namespace {

using Ids = std::vector<TokenId>;

size_t common_prefix(const Ids& a, const Ids& b, size_t limit) {
  size_t n = 0;
  while (n < std::min({a.size(), b.size(), limit}) && a[n] == b[n]) ++n;
  return n;
}

/// A part of a sequence: the segment that holds it and the position of the segment's first token.
struct Part {
  size_t segment;
  size_t begin, end;
};

class TreeBuilder {
 public:
  /// Adds ids[begin, end) below `above`; nothing when it is empty.
  std::vector<Part> add(const Ids& ids, size_t begin, size_t end, size_t request, std::vector<Part> above) {
    if (begin == end) return above;
    std::vector<size_t> parents;
    for (const Part& part : above) parents.push_back(part.segment);
    const Ids tokens(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                     ids.begin() + static_cast<std::ptrdiff_t>(end));
    first_rows_.push_back(rows_);
    rows_ += end - begin;
    const size_t segment = builder_.add(tokens, static_cast<std::int64_t>(begin),
                                        static_cast<std::int64_t>(request), std::move(parents));
    above.push_back({segment, begin, end});
    return above;
  }

  std::int64_t row(const std::vector<Part>& path, size_t position) const {
    const auto part = std::find_if(path.begin(), path.end(), [&](const Part& p) { return position < p.end; });
    return static_cast<std::int64_t>(first_rows_[part->segment] + position - part->begin);
  }

  PackedBatch build() const { return builder_.build(); }

 private:
  BatchBuilder builder_;
  std::vector<size_t> first_rows_;  // a segment each
  size_t rows_ = 0;
};

}  // namespace

ReplySequence encode_reply(const CausalLM& model, const PromptPair& pair, bool safe, size_t index,
                           const CollectOptions& options) {
  const std::string where = "pair " + std::to_string(index) + ", " + (safe ? "safe" : "unsafe") + " reply";
  PairReply reply = encode_pair_reply(model.tokenizer(), model.chat_template(), pair, safe,
                                      {.tokens_per_reply = options.tokens_per_reply,
                                       .system = options.system,
                                       .trust_special_tokens = options.trust_special_tokens,
                                       .clock = options.clock},
                                      where);
  const auto tokens = static_cast<std::int64_t>(reply.chat.tokens.ids.size());
  if (tokens > model.config().max_position_embeddings) {
    throw Error({.code = "data.too_long",
                 .where = where,
                 .expected = "at most " + std::to_string(model.config().max_position_embeddings) +
                             " tokens with its prompt",
                 .found = std::to_string(tokens)});
  }
  return {.ids = std::move(reply.chat.tokens.ids), .kept = std::move(reply.kept)};
}

PrefixTree build_prefix_tree(std::span<const ReplySequence> sequences, size_t first_request) {
  const Ids& first = sequences.front().ids;
  size_t shared_by_all = first.size();
  for (const ReplySequence& s : sequences) shared_by_all = common_prefix(first, s.ids, shared_by_all);

  TreeBuilder tree;
  const std::vector<Part> root = tree.add(first, 0, shared_by_all, first_request, {});
  std::vector<std::int64_t> kept_rows;
  for (size_t pair = 0; pair + 1 < sequences.size(); pair += 2) {
    const Ids &safe = sequences[pair].ids, &unsafe = sequences[pair + 1].ids;
    const size_t shared = common_prefix(safe, unsafe, safe.size());
    const std::vector<Part> stem = tree.add(safe, shared_by_all, shared, first_request + pair, root);
    for (size_t s = pair; s < pair + 2; ++s) {
      const std::vector<Part> path =
          tree.add(sequences[s].ids, shared, sequences[s].ids.size(), first_request + s, stem);
      for (const std::int64_t position : sequences[s].kept)
        kept_rows.push_back(tree.row(path, static_cast<size_t>(position)));
    }
  }
  return {.batch = tree.build(), .kept_rows = at::tensor(kept_rows, at::kLong)};
}

std::vector<PrefixTree> build_prefix_trees(std::span<const ReplySequence> sequences,
                                           std::int64_t max_tokens) {
  const auto tokens_of = [&](size_t pair) {  // at most: without what is shared with other pairs
    const Ids &safe = sequences[pair].ids, &unsafe = sequences[pair + 1].ids;
    return static_cast<std::int64_t>(safe.size() + unsafe.size() - common_prefix(safe, unsafe, safe.size()));
  };
  std::vector<PrefixTree> trees;
  for (size_t begin = 0; begin < sequences.size();) {
    std::int64_t tokens = tokens_of(begin);
    size_t end = begin + 2;
    while (end < sequences.size() && tokens + tokens_of(end) <= max_tokens) {
      tokens += tokens_of(end);
      end += 2;
    }
    trees.push_back(build_prefix_tree(sequences.subspan(begin, end - begin), begin));
    begin = end;
  }
  return trees;
}

}  // namespace safetylock
