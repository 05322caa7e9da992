#include <set>

#include "report/fields.h"
#include "report/limits.h"
#include "report/number_text.h"
#include "report/read_results.h"
#include "safetylock/error.h"

namespace safetylock::report {
namespace {

Spread read_spread(const JsonObject& parent, const std::string& key) {
  const JsonObject object = parent.object(key);
  return {.mean = object.number("mean"),
          .sd = object.number("sd"),
          .low = object.number("low"),
          .high = object.number("high"),
          .min = object.number("min"),
          .max = object.number("max")};
}

TransferSummary read_summary(const JsonObject& parent, const std::string& key) {
  const JsonObject object = parent.object(key);
  return {.cosine = read_spread(object, "cosine"),
          .sigma_ratio = read_spread(object, "sigma_ratio"),
          .kl = read_spread(object, "kl")};
}

double read_cosine(const JsonObject& object, const std::string& key) {
  const double cosine = object.number(key);
  if (cosine < -1 - 1e-6 || cosine > 1 + 1e-6)
    contradict(object, key, "a cosine from -1 to 1", shortest(cosine));
  return cosine;
}

TransferHead read_head(const JsonObject& object, std::int64_t layers, std::int64_t heads_per_layer) {
  return {.place = read_place(object, layers, heads_per_layer),
          .locked = read_flag(object, "locked"),
          .cosine = read_cosine(object, "cosine"),
          .cosine_low = read_cosine(object, "cosine_low"),
          .cosine_high = read_cosine(object, "cosine_high"),
          .sigma_ratio = object.number("sigma_ratio"),
          .kl = object.number("kl")};
}

std::vector<double> read_curve(const JsonObject& object, const std::string& key, size_t points) {
  std::vector<double> curve = read_numbers(object, key);
  if (curve.size() < 2 || curve.size() > static_cast<size_t>(kMostGridPoints) ||
      (points != 0 && curve.size() != points))
    contradict(object, key, points == 0 ? "2 to 1024 grid points" : std::to_string(points) + " grid points",
               std::to_string(curve.size()));
  for (const double value : curve)
    if (value < 0) contradict(object, key, "densities of 0 or more", shortest(value));
  return curve;
}

std::optional<DensityPair> read_pair(const JsonObject& density, const std::string& key, size_t& points) {
  if (!density.has(key)) return std::nullopt;
  const JsonObject object = density.object(key);
  DensityPair pair;
  pair.safe = read_curve(object, "safe", points);
  points = pair.safe.size();
  pair.unsafe = read_curve(object, "unsafe", points);
  return pair;
}

Density read_density(const JsonObject& object, std::int64_t layers, std::int64_t heads_per_layer) {
  Density density;
  density.place = read_place(object, layers, heads_per_layer);
  density.from = object.number("from");
  density.to = object.number("to");
  if (density.from >= density.to)
    contradict(object, "from", "from < to = " + shortest(density.to), shortest(density.from));
  size_t points = 0;
  density.base = read_pair(object, "base", points);
  density.tuned = read_pair(object, "tuned", points);
  density.locked = read_pair(object, "locked", points);
  return density;
}

}  // namespace

Transfer read_transfer(const JsonObject& root) {
  Transfer transfer;
  transfer.base = root.string("base");
  transfer.tuned = root.string("tuned");
  transfer.adapter = optional_text(root, "adapter");
  transfer.lock = read_lock(root.object("lock"));
  transfer.layers = root.integer("layers", 1, kMostLayers);
  transfer.heads_per_layer = root.integer("heads_per_layer", 1, kMostHeads);
  std::set<HeadPlace> seen;
  for_each(root, "heads", [&](const JsonObject& object) {
    transfer.heads.push_back(read_head(object, transfer.layers, transfer.heads_per_layer));
    const HeadPlace place = transfer.heads.back().place;
    if (!seen.insert(place).second)
      contradict(object, "head", "each head once",
                 std::to_string(place.layer) + "." + std::to_string(place.head) + " again");
  });
  if (static_cast<std::int64_t>(seen.size()) != transfer.layers * transfer.heads_per_layer)
    contradict(root, "heads", "all " + std::to_string(transfer.layers * transfer.heads_per_layer) + " heads",
               std::to_string(seen.size()));
  const JsonObject summary = root.object("summary");
  transfer.locked = read_summary(summary, "locked");
  transfer.all = read_summary(summary, "all");
  for_each(root, "densities", [&](const JsonObject& object) {
    transfer.densities.push_back(read_density(object, transfer.layers, transfer.heads_per_layer));
    if (static_cast<std::int64_t>(transfer.densities.size()) > kMostDensities)
      contradict(root, "densities", "at most " + std::to_string(kMostDensities) + " heads", "more");
  });
  transfer.thresholds = numbers_below(root, "thresholds");
  transfer.evidence = numbers_below(root, "evidence");
  transfer.verdict = root.string("verdict");
  if (transfer.verdict != "pass" && transfer.verdict != "warn" && transfer.verdict != "refuse")
    throw Error({"cfg.range", root.file(), root.pointer_to("verdict"), "pass, warn or refuse",
                 "\"" + escape_untrusted(transfer.verdict) + "\"", ""});
  transfer.reasons = read_texts(root, "reasons");
  transfer.seconds = optional_seconds(root, "seconds");
  return transfer;
}

}  // namespace safetylock::report
