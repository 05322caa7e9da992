#include "pipeline/prefix_tree.h"

#include <algorithm>

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

size_t common_prefix(std::span<const KeptSequence> sequences) {
  const Ids& first = sequences.front().ids;
  size_t shared = first.size();
  for (const KeptSequence& s : sequences) shared = common_prefix(first, s.ids, shared);
  return shared;
}

}  // namespace

PrefixTree build_prefix_tree(std::span<const KeptSequence> sequences, size_t group, size_t first_request) {
  const size_t shared_by_all = common_prefix(sequences);
  TreeBuilder tree;
  const std::vector<Part> root = tree.add(sequences.front().ids, 0, shared_by_all, first_request, {});
  std::vector<std::int64_t> kept_rows;
  for (size_t begin = 0; begin < sequences.size(); begin += group) {
    const size_t shared = common_prefix(sequences.subspan(begin, group));
    const std::vector<Part> stem =
        tree.add(sequences[begin].ids, shared_by_all, shared, first_request + begin, root);
    for (size_t s = begin; s < begin + group; ++s) {
      const std::vector<Part> path =
          tree.add(sequences[s].ids, shared, sequences[s].ids.size(), first_request + s, stem);
      for (const std::int64_t position : sequences[s].kept)
        kept_rows.push_back(tree.row(path, static_cast<size_t>(position)));
    }
  }
  return {.batch = tree.build(), .kept_rows = at::tensor(kept_rows, at::kLong)};
}

std::vector<PrefixTree> build_prefix_trees(std::span<const KeptSequence> sequences, size_t group,
                                           std::int64_t max_tokens) {
  const auto tokens_of = [&](size_t begin) {  // at most: without what is shared with other groups
    const std::span<const KeptSequence> members = sequences.subspan(begin, group);
    size_t tokens = common_prefix(members);
    for (const KeptSequence& member : members) tokens += member.ids.size() - common_prefix(members);
    return static_cast<std::int64_t>(tokens);
  };
  std::vector<PrefixTree> trees;
  for (size_t begin = 0; begin < sequences.size();) {
    std::int64_t tokens = tokens_of(begin);
    size_t end = begin + group;
    while (end < sequences.size() && tokens + tokens_of(end) <= max_tokens) {
      tokens += tokens_of(end);
      end += group;
    }
    trees.push_back(build_prefix_tree(sequences.subspan(begin, end - begin), group, begin));
    begin = end;
  }
  return trees;
}

}  // namespace safetylock
