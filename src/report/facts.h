// Every number of the page as rows, for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/report_data.h"
#include "report/summary.h"

namespace safetylock::report {

/// One row: a number with its interval, or a text.
struct Fact {
  std::string section;  ///< summary, effect, answers, heads, transfer, sweep, costs, provenance
  std::string item;     ///< "locked harmful", "layer 3 head 4" ...
  std::string metric;   ///< "answered", "accuracy" ...
  std::optional<double> value;
  std::optional<double> low, high;
  std::optional<std::int64_t> n;
  std::string text;  ///< instead of a value
};

std::vector<Fact> facts(const ReportData& data, const Summary& summary);

/// One step: what it took, and how fast that was.
struct Cost {
  std::string step;
  std::optional<double> seconds;
  std::optional<double> rate;
  std::string unit;  ///< of the rate: "tokens/s", "pairs/s"
};
std::vector<Cost> costs_of(const ReportData& data);

/// {schema, title, summary, limits, inputs, facts}
std::string facts_json(const std::vector<Fact>& facts, const ReportData& data, const Summary& summary,
                       const std::string& title);
/// section,item,metric,value,low,high,n; RFC 4180 with \n, UTF-8. Texts that a spreadsheet would take for a
/// formula get an apostrophe in front.
std::string facts_csv(const std::vector<Fact>& facts);

}  // namespace safetylock::report
