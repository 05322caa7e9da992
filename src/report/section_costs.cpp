#include "report/facts.h"
#include "report/number_text.h"
#include "report/sections.h"

namespace safetylock::report {

std::string costs_section(const ReportData& data) {
  const std::vector<Cost> costs = costs_of(data);
  constexpr const char* kHeading = "What it costs";
  if (costs.empty())
    return section("costs", kHeading,
                   how_to_get("No file tells a time. To get them:",
                              "safetylock extract BASE --pairs FILE -o LOCK --json > extract.json"));
  std::vector<std::vector<std::string>> rows = {{"Step", "time", "rate"}};
  for (const Cost& cost : costs)
    rows.push_back({cost.step, cost.seconds ? duration(*cost.seconds) : "–",
                    cost.rate ? fixed(*cost.rate, *cost.rate < 10 ? 2 : 1) + " " + cost.unit : "–"});
  return section("costs", kHeading, table("As measured by the runs that wrote the files", rows));
}

}  // namespace safetylock::report
