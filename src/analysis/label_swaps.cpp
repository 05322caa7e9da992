#include "analysis/label_swaps.h"

#include <algorithm>

#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr int kMaxDraws = 1000;

[[noreturn]] void fail(const char* expected, std::string found) {
  throw Error({"data.single_class", "", "permutation_baseline: labels", expected, std::move(found), ""});
}

}  // namespace

LabelSwaps::LabelSwaps(const Questions& questions, std::span<const std::int64_t> labels,
                       std::span<const Split> splits, std::uint64_t seed)
    : questions_(questions), labels_(labels), splits_(splits), random_(seed) {
  std::vector<char> classes(static_cast<size_t>(questions.count), 0);  // bit 0: unsafe, bit 1: safe
  for (size_t row = 0; row < labels.size(); ++row)
    classes[static_cast<size_t>(questions.of_row[row])] |= labels[row] == 1 ? 2 : 1;
  const auto incomplete = std::find_if(classes.begin(), classes.end(), [](char c) { return c != 3; });
  if (incomplete != classes.end()) {
    fail("a safe and an unsafe reply in every question",
         "one class in question " + std::to_string(incomplete - classes.begin()));
  }
}

std::vector<std::int64_t> LabelSwaps::next() {
  std::vector<std::int64_t> drawn(labels_.size());
  std::vector<std::int64_t> swapped(static_cast<size_t>(questions_.count));
  for (int draw = 0; draw < kMaxDraws; ++draw) {
    for (std::int64_t& coin : swapped) coin = static_cast<std::int64_t>(random_.below(2));
    for (size_t row = 0; row < drawn.size(); ++row)
      drawn[row] = labels_[row] ^ swapped[static_cast<size_t>(questions_.of_row[row])];
    if (std::all_of(splits_.begin(), splits_.end(),
                    [&](const Split& split) { return has_both_classes(split, drawn); }))
      return drawn;
  }
  fail("both classes on both sides of a split", "one class, however the replies are swapped");
}

}  // namespace safetylock
