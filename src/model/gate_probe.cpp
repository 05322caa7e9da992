#include "model/gate_probe.h"

#include <limits>
#include <tuple>

namespace safetylock {

GateProbe::GateProbe(const Gate& gate, at::Device device) : bias_(gate.bias) {
  std::map<std::tuple<std::int64_t, GatePosition>, std::vector<const GateHead*>> by_place;
  for (const GateHead& head : gate.heads) by_place[{head.id.layer, head.position}].push_back(&head);
  for (const auto& [place, heads] : by_place) {
    std::vector<std::int64_t> numbers;
    std::vector<float> weights;
    for (const GateHead* head : heads) {
      numbers.push_back(head->id.head);
      weights.insert(weights.end(), head->weights.begin(), head->weights.end());
    }
    parts_.push_back({.layer = std::get<0>(place),
                      .position = std::get<1>(place),
                      .heads = at::tensor(numbers, at::kLong).to(device),
                      .weights = at::tensor(weights).to(device)});
  }
}

GateReader::GateReader(std::shared_ptr<const GateProbe> probe, const PackedBatch& batch,
                       std::span<const PromptPlaces> places, at::Device device)
    : probe_(std::move(probe)) {
  std::vector<float> scores(places.size(), probe_->bias());
  for (const GateProbe::Part& part : probe_->parts()) {
    if (rows_.contains(part.position)) continue;
    std::vector<std::int64_t> rows, owners;
    std::vector<float> shares;
    for (size_t i = 0; i < places.size(); ++i) {
      const TokenRange range = places[i].at(part.position);
      if (range.length() == 0) scores[i] = std::numeric_limits<float>::quiet_NaN();
      for (std::int64_t t = range.begin; t < range.end; ++t) {
        rows.push_back(batch.segments[i].begin + t);
        owners.push_back(static_cast<std::int64_t>(i));
        shares.push_back(1 / static_cast<float>(range.length()));
      }
    }
    rows_[part.position] = {.rows = at::tensor(rows, at::kLong).to(device),
                            .owners = at::tensor(owners, at::kLong).to(device),
                            .shares = at::tensor(shares).to(device)};
  }
  scores_ = at::tensor(scores).to(device);
}

HookSnapshot GateReader::watching(const HookSnapshot& hooks) const {
  std::set<std::int64_t> layers;
  for (const GateProbe::Part& part : probe_->parts()) layers.insert(part.layer);
  return hooks.with({.point = HookPoint::head_output,
                     .layers = std::move(layers),
                     .function = [this](const HookContext& at, at::Tensor& z) { read(at.layer, z); }});
}

void GateReader::read(std::int64_t layer, const at::Tensor& z) const {
  for (const GateProbe::Part& part : probe_->parts()) {
    if (part.layer != layer) continue;
    const Rows& r = rows_.at(part.position);
    const at::Tensor values = z.index_select(0, r.rows).index_select(1, part.heads).flatten(1);
    scores_.index_add_(0, r.owners, values.to(at::kFloat).mv(part.weights).mul_(r.shares));
  }
}

std::vector<double> GateReader::scores() const {
  const at::Tensor host = scores_.to(at::kDouble).cpu();
  const double* values = host.const_data_ptr<double>();
  return {values, values + host.numel()};
}

}  // namespace safetylock
