#include "safetylock/report.h"

#include "base/file.h"
#include "base/utf8.h"
#include "report/facts.h"
#include "report/page.h"
#include "report/read_results.h"
#include "safetylock/error.h"

namespace safetylock {

Report make_report(const std::vector<std::string>& files, const ReportOptions& options) {
  if (files.empty())
    throw Error(
        {.code = "arg.usage", .where = "files", .expected = "at least one result file", .found = "none"});
  const std::string title = utf8::to_valid(options.title);
  std::vector<report::ResultFile> results;
  for (const std::string& file : files) results.push_back(report::read_result_file(file));
  const report::ReportData data = report::arrange(std::move(results));
  const report::Summary summary = report::summarise(data);
  const std::vector<report::Fact> facts = report::facts(data, summary);
  return {.html = report::page(data, summary, title),
          .json = report::facts_json(facts, data, summary, title),
          .csv = report::facts_csv(facts),
          .summary = report::plain_text(summary)};
}

void write_report(const Report& report, const ReportPaths& paths) {
  if (!paths.html.empty()) write_file_atomically(paths.html, report.html);
  if (!paths.json.empty()) write_file_atomically(paths.json, report.json);
  if (!paths.csv.empty()) write_file_atomically(paths.csv, report.csv);
}

}  // namespace safetylock
