#include "safetylock/derive_gate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "analysis/calibration.h"
#include "analysis/gate_search.h"
#include "analysis/statistics.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// Folds of the cross-validation that chooses, inside one of the outer cross-validation.
constexpr std::int64_t kInnerFolds = 3;
/// Draws apart what else comes from the seed.
constexpr std::uint64_t kInnerStream = 0x9E3779B97F4A7C15;

[[noreturn]] void refuse(const char* code, const std::string& where, std::string expected, std::string found,
                         std::string hint = "") {
  throw Error({.code = code,
               .where = where,
               .expected = std::move(expected),
               .found = std::move(found),
               .hint = std::move(hint)});
}

void check_options(const GateOptions& o) {
  if (!(o.false_alarm_rate >= 0 && o.false_alarm_rate < 1)) {
    refuse("arg.range", "derive_gate: false_alarm_rate", "at least 0, below 1",
           std::to_string(o.false_alarm_rate));
  }
  if (o.folds < 2) refuse("arg.range", "derive_gate: folds", "at least 2", std::to_string(o.folds));
  if (o.num_heads.empty() || o.C.empty() || o.positions.empty())
    refuse("arg.range", "derive_gate", "at least one number of heads, C and set of positions", "none");
  for (const std::int64_t k : o.num_heads)
    if (k < 1) refuse("arg.range", "derive_gate: num_heads", "at least 1", std::to_string(k));
  for (const double C : o.C)
    if (!(C > 0)) refuse("arg.range", "derive_gate: C", "above 0", std::to_string(C));
}

/// The shapes that these activations allow.
std::vector<GateShape> shapes_of(const GateActivations& activations, const GateOptions& options,
                                 std::int64_t heads) {
  std::vector<std::int64_t> counts = options.num_heads;
  std::sort(counts.begin(), counts.end());
  std::vector<GateShape> shapes;
  for (const std::vector<GatePosition>& set : options.positions) {
    std::vector<std::int64_t> places;
    for (const GatePosition position : set) {
      const auto at = std::find(activations.positions.begin(), activations.positions.end(), position);
      if (at != activations.positions.end()) places.push_back(at - activations.positions.begin());
    }
    if (places.size() != set.size()) continue;
    const std::int64_t blocks = heads * static_cast<std::int64_t>(places.size());
    std::int64_t last = 0;
    for (const std::int64_t count : counts) {
      const std::int64_t taken = std::min(count, blocks);
      if (taken == last) continue;
      last = taken;
      for (const double C : options.C) shapes.push_back({.positions = places, .blocks = taken, .C = C});
    }
  }
  if (shapes.empty())
    refuse("arg.range", "derive_gate: positions", "a set of positions that every prompt has", "none");
  return shapes;
}

struct Judged {
  std::vector<double> auc, log_loss;  ///< a shape each
  size_t best = 0;                    ///< largest AUC, then the fewest heads, then the strongest penalty
};

class Derivation {
 public:
  Derivation(const GateActivations& activations, const GateOptions& options)
      : activations_(activations),
        options_(options),
        heads_(activations.values.size(2) * activations.values.size(3)),
        values_(activations.values.flatten(1, 3), "derive_gate"),
        labels_(checked_labels(activations.labels, values_.rows(), "derive_gate")),
        topics_(
            number_questions(checked_integers(activations.groups, values_.rows(), "derive_gate", "groups"))),
        rows_{.values = values_, .labels = labels_, .topics = topics_, .heads = heads_},
        shapes_(shapes_of(activations, options, heads_)),
        search_(rows_, shapes_) {
    const std::int64_t least = std::max(options.folds, 2 * kInnerFolds);
    if (topics_.count < least) {
      refuse("data.too_few", "derive_gate: groups",
             "prompts of at least " + std::to_string(least) + " topics", std::to_string(topics_.count),
             "Give prompts of more topics; a column \"topic\" names them");
    }
  }

  DerivedGate run() {
    const std::vector<std::int64_t> all = all_rows(values_.rows());
    std::vector<double> margins(labels_.size());
    std::int64_t fold = 0;
    for (const std::vector<std::int64_t>& part : topic_folds(topics_, all, options_.folds, options_.seed)) {
      report(fold++);
      const std::vector<std::int64_t> train = without(all, part);
      const size_t best = cross_validate(train, options_.seed ^ kInnerStream).best;
      const GateShape shape[] = {shapes_[best]};
      const std::vector<double> judged = GateSearch(rows_, shape).margins(train, part).front();
      for (size_t i = 0; i < part.size(); ++i) margins[static_cast<size_t>(part[i])] = judged[i];
    }
    report(options_.folds);
    const Judged judged = cross_validate(all, options_.seed);
    report(options_.folds + 1);
    return derived(margins, judged, all);
  }

 private:
  Judged cross_validate(const std::vector<std::int64_t>& rows, std::uint64_t seed) const {
    std::vector<std::vector<double>> margins(shapes_.size());
    std::vector<std::int64_t> labels;
    for (const std::vector<std::int64_t>& part : topic_folds(topics_, rows, kInnerFolds, seed)) {
      const std::vector<std::vector<double>> of_part = search_.margins(without(rows, part), part);
      for (size_t s = 0; s < shapes_.size(); ++s)
        margins[s].insert(margins[s].end(), of_part[s].begin(), of_part[s].end());
      for (const std::int64_t row : part) labels.push_back(labels_[static_cast<size_t>(row)]);
    }
    Judged judged;
    for (const std::vector<double>& m : margins) {
      judged.auc.push_back(area_under_roc(m, labels));
      judged.log_loss.push_back(mean_log_loss(m, labels));
    }
    for (size_t s = 1; s < shapes_.size(); ++s) {
      const GateShape &a = shapes_[s], &b = shapes_[judged.best];
      const auto key = [&](size_t i, const GateShape& shape) {
        return std::tuple(-std::llround(judged.auc[i] * 1e9), shape.blocks, shape.C);
      };
      if (key(s, a) < key(judged.best, b)) judged.best = s;
    }
    return judged;
  }

  DerivedGate derived(const std::vector<double>& margins, const Judged& judged,
                      const std::vector<std::int64_t>& all) const {
    DerivedGate out;
    out.auc = area_under_roc(margins, labels_);
    const Calibration calibration = calibrate(margins, labels_);
    if (!(calibration.slope > 0) || out.auc <= 0.5) {
      refuse("gate.no_signal", "derive_gate",
             "head outputs that tell harmful from harmless requests of topics not trained on",
             "an area under the ROC curve of " + std::to_string(out.auc) + " (chance: 0.5)",
             "Give more prompts, in pairs of alike wording, or use the lock without a gate");
    }
    std::vector<double> harmless;
    for (size_t i = 0; i < margins.size(); ++i) {
      out.scores.push_back(calibration.log_odds(margins[i]));
      if (labels_[i] == 0) harmless.push_back(out.scores.back());
    }
    out.log_loss = mean_log_loss(out.scores, labels_);
    out.chosen = judged.best;
    for (size_t s = 0; s < shapes_.size(); ++s) {
      out.candidates.push_back({.positions = positions_of(shapes_[s]),
                                .num_heads = shapes_[s].blocks,
                                .C = shapes_[s].C,
                                .auc = judged.auc[s],
                                .log_loss = judged.log_loss[s]});
    }
    const double threshold = threshold_for(harmless, options_.false_alarm_rate);
    out.gate = gate(search_.train(shapes_[judged.best], all), calibration);
    out.gate.threshold = probability_of(threshold);
    for (size_t i = 0; i < labels_.size(); ++i) {
      GateEvidence& evidence = out.gate.evidence;
      const bool opens = out.scores[i] >= threshold;
      (labels_[i] == 1 ? evidence.harmful : evidence.harmless) += 1;
      if (labels_[i] == 1 && !opens) ++evidence.missed;
      if (labels_[i] == 0 && opens) ++evidence.false_alarms;
    }
    if (out.gate.evidence.missed == out.gate.evidence.harmful) {
      refuse("gate.no_signal", "derive_gate", "a threshold that some harmful request reaches",
             "none: at most " + std::to_string(options_.false_alarm_rate) +
                 " of the harmless ones may reach it, which score as high",
             "Allow more false alarms, or give prompts that differ more");
    }
    out.gate.prompts_digest = activations_.prompts_digest;
    const ScoreSpread spread = spread_of(gate_scores(out.gate, activations_));
    out.gate.evidence.mean = spread.mean;
    out.gate.evidence.sd = spread.sd;
    return out;
  }

  std::vector<GatePosition> positions_of(const GateShape& shape) const {
    std::vector<GatePosition> positions;
    for (const std::int64_t p : shape.positions)
      positions.push_back(activations_.positions[static_cast<size_t>(p)]);
    return positions;
  }

  Gate gate(const GateSearch::Trained& trained, const Calibration& calibration) const {
    const std::int64_t per_layer = activations_.values.size(3);
    Gate gate;
    gate.bias = static_cast<float>(calibration.log_odds(trained.weights.intercept));
    for (size_t b = 0; b < trained.blocks.size(); ++b) {
      const std::int64_t head = trained.blocks[b] % heads_;
      GateHead& out = gate.heads.emplace_back();
      out.id = {head / per_layer, head % per_layer};
      out.position = activations_.positions[static_cast<size_t>(trained.blocks[b] / heads_)];
      for (const double w : trained.weights.weights[b])
        out.weights.push_back(static_cast<float>(calibration.slope * w));
    }
    std::sort(gate.heads.begin(), gate.heads.end(), [](const GateHead& a, const GateHead& b) {
      return std::tie(a.id, a.position) < std::tie(b.id, b.position);
    });
    return gate;
  }

  void report(std::int64_t done) const {
    const std::int64_t total = options_.folds + 1;
    if (!options_.on_progress) return;
    const Progress progress{.stage = "choosing the gate", .done = done, .total = total, .unit = "folds"};
    if (!options_.on_progress(progress) && done < total) {
      throw Error({.code = "run.interrupted",
                   .where = "choosing the gate",
                   .found = std::to_string(done) + " of " + std::to_string(total) + " folds finished"});
    }
  }

  const GateActivations& activations_;
  const GateOptions& options_;
  std::int64_t heads_;
  HeadValues values_;
  std::vector<std::int64_t> labels_;
  Questions topics_;
  GateRows rows_;
  std::vector<GateShape> shapes_;
  GateSearch search_;
};

}  // namespace

DerivedGate derive_gate(const GateActivations& activations, const GateOptions& options) {
  check_options(options);
  const at::Tensor& v = activations.values;
  if (v.dim() != 5 || v.size(1) != static_cast<std::int64_t>(activations.positions.size())) {
    refuse("arg.shape", "derive_gate: values",
           "[N, " + std::to_string(activations.positions.size()) + " positions, L, H, D]",
           std::to_string(v.dim()) + " dimensions");
  }
  return Derivation(activations, options).run();
}

}  // namespace safetylock
