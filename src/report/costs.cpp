#include "report/facts.h"

namespace safetylock::report {
namespace {

void add_run(std::vector<Cost>& costs, const Column& column) {
  const std::string item = std::string("Evaluate, ") + column.name;
  if (column.run->seconds) costs.push_back({item, "seconds", *column.run->seconds});
  if (column.run->seconds && column.run->tokens_generated && *column.run->seconds > 0)
    costs.push_back(
        {item, "tokens/s", static_cast<double>(*column.run->tokens_generated) / *column.run->seconds});
}

std::string step_name(const std::string& step) {
  if (step == "total") return "Derive the lock, in all";
  std::string text = step;
  for (char& c : text)
    if (c == '_' || c == '.') c = ' ';
  return "Derive: " + text;
}

}  // namespace

std::vector<Cost> costs_of(const ReportData& data) {
  std::vector<Cost> costs;
  if (data.extraction) {
    for (const NamedNumber& step : data.extraction->seconds)
      costs.push_back({step_name(step.name), "seconds", step.value});
    if (data.extraction->pairs_per_second > 0)
      costs.push_back({"Derive", "pairs/s", data.extraction->pairs_per_second});
  }
  if (data.locked && data.locked->apply_seconds)
    costs.push_back({"Apply the lock", "seconds", *data.locked->apply_seconds});
  for (const Column& column : columns(data)) add_run(costs, column);
  if (data.transfer && data.transfer->seconds)
    costs.push_back({"Transfer", "seconds", *data.transfer->seconds});
  if (data.sweep) {
    double seconds = 0;
    const auto add = [&](const Cell& cell) {
      seconds += cell.harmful.seconds.value_or(0) + cell.benign.seconds.value_or(0);
    };
    add(data.sweep->unlocked);
    for (const Cell& cell : data.sweep->cells) add(cell);
    if (seconds > 0) costs.push_back({"Sweep", "seconds", seconds});
  }
  return costs;
}

}  // namespace safetylock::report
