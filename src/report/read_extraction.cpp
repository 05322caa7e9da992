#include <algorithm>
#include <set>

#include "report/fields.h"
#include "report/limits.h"
#include "report/number_text.h"
#include "report/read_results.h"

namespace safetylock::report {
namespace {

ScoredHead read_scored(const JsonObject& object, std::int64_t layers, std::int64_t heads_per_layer) {
  ScoredHead head{.place = read_place(object, layers, heads_per_layer),
                  .accuracy = read_share(object, "accuracy"),
                  .ci_low = object.number("ci_low"),
                  .ci_high = object.number("ci_high"),
                  .auc = read_share(object, "auc"),
                  .p_permutation = optional_number(object, "p_permutation"),
                  .top_k_share = optional_number(object, "top_k_share")};
  if (head.ci_low > head.ci_high)
    contradict(object, "ci_low", "ci_low <= ci_high = " + shortest(head.ci_high), shortest(head.ci_low));
  return head;
}

// `heads` of the file; each once.
std::vector<ScoredHead> read_heads(const JsonObject& root, const std::string& key, std::int64_t layers,
                                   std::int64_t heads_per_layer) {
  std::vector<ScoredHead> heads;
  std::set<HeadPlace> seen;
  for_each(root, key, [&](const JsonObject& object) {
    heads.push_back(read_scored(object, layers, heads_per_layer));
    if (!seen.insert(heads.back().place).second)
      contradict(object, "head", "each head once",
                 std::to_string(heads.back().place.layer) + "." + std::to_string(heads.back().place.head) +
                     " again");
  });
  return heads;
}

std::optional<MarginShift> read_causal_check(const JsonObject& root) {
  if (!root.has("causal_check")) return std::nullopt;
  const JsonObject check = root.object("causal_check");
  return MarginShift{.harmful = read_mean(check, "harmful_shift"),
                     .benign = read_mean(check, "benign_shift"),
                     .passed = read_flag(check, "passed")};
}

}  // namespace

Extraction read_extraction(const JsonObject& root, int version) {
  Extraction extraction;
  extraction.model = root.string("model");
  extraction.lock = {.path = root.string("lock"),
                     .digest = root.string("lock_digest"),
                     .alpha = optional_number(root, "alpha"),
                     .heads = {}};
  const bool all = version >= 2;
  const std::int64_t layers = all ? root.integer("layers", 1, kMostLayers) : kMostLayers;
  const std::int64_t heads = all ? root.integer("heads_per_layer", 1, kMostHeads) : kMostHeads;
  const std::vector<ScoredHead> chosen = read_heads(root, "heads", layers, heads);
  if (chosen.empty()) contradict(root, "heads", "at least one head", "none");
  for (const ScoredHead& head : chosen) extraction.chosen.push_back(head.place);
  extraction.lock.heads = static_cast<std::int64_t>(chosen.size());
  if (all) {
    extraction.layers = layers;
    extraction.heads_per_layer = heads;
    extraction.ranking = read_heads(root, "ranking", layers, heads);
    if (static_cast<std::int64_t>(extraction.ranking.size()) != layers * heads)
      contradict(root, "ranking", "all " + std::to_string(layers * heads) + " heads",
                 std::to_string(extraction.ranking.size()));
  } else {
    extraction.ranking = chosen;
  }
  extraction.causal_check = read_causal_check(root);
  extraction.seconds = numbers_below(root, "seconds");
  extraction.evidence = numbers_below(root, "evidence");
  if (root.has("evidence") && root.object("evidence").has("permutation")) {
    const JsonObject permutation = root.object("evidence").object("permutation");
    if (permutation.has("separates")) extraction.separates = read_flag(permutation, "separates");
  }
  extraction.pairs_per_second = root.number_or("pairs_per_second", 0);
  return extraction;
}

}  // namespace safetylock::report
