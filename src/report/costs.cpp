#include "report/facts.h"

namespace safetylock::report {
namespace {

void add_run(std::vector<Cost>& costs, const Column& column) {
  const Run& run = *column.run;
  if (!run.seconds) return;
  Cost cost{.step = std::string("Evaluate, ") + column.name, .seconds = run.seconds, .rate = {}, .unit = {}};
  if (run.tokens_generated && *run.seconds > 0) {
    cost.rate = static_cast<double>(*run.tokens_generated) / *run.seconds;
    cost.unit = "tokens/s";
  }
  costs.push_back(std::move(cost));
}

// The keys of the file as a reader's words; keys that come later are shown as they are.
std::string step_name(const std::string& key) {
  if (key == "total") return "Derive the lock, in all";
  if (key == "derive") return "Derive: directions";
  std::string text = key;
  for (char& c : text)
    if (c == '_' || c == '.') c = ' ';
  return "Derive: " + text;
}

Cost seconds_of(std::string step, double seconds) {
  return {.step = std::move(step), .seconds = seconds, .rate = {}, .unit = {}};
}

}  // namespace

std::vector<Cost> costs_of(const ReportData& data) {
  std::vector<Cost> costs;
  if (data.extraction) {
    for (const NamedNumber& step : data.extraction->seconds) {
      costs.push_back(seconds_of(step_name(step.name), step.value));
      if (step.name != "collect" || data.extraction->pairs_per_second <= 0) continue;
      costs.back().rate = data.extraction->pairs_per_second;
      costs.back().unit = "pairs/s";
    }
  }
  if (data.locked && data.locked->apply_seconds)
    costs.push_back(seconds_of("Apply the lock", *data.locked->apply_seconds));
  for (const Column& column : columns(data)) add_run(costs, column);
  if (data.transfer && data.transfer->seconds)
    costs.push_back(seconds_of("Transfer", *data.transfer->seconds));
  if (data.sweep) {
    double seconds = 0;
    const auto add = [&](const Cell& cell) {
      seconds += cell.harmful.seconds.value_or(0) + cell.benign.seconds.value_or(0);
    };
    add(data.sweep->unlocked);
    for (const Cell& cell : data.sweep->cells) add(cell);
    if (seconds > 0) costs.push_back(seconds_of("Sweep", seconds));
  }
  return costs;
}

}  // namespace safetylock::report
