// One page about a lock: the result files of extract, evaluate, transfer and sweep as a self-contained HTML
// file, and the same numbers as JSON and CSV.
//
// Thread rule: free functions without state.
#pragma once

#include <string>
#include <vector>

namespace safetylock {

struct ReportOptions {
  std::string title = "What the SafetyLock does";  ///< UTF-8; escaped like everything else
};

/// The same inputs give the same bytes: no clock is read.
struct Report {
  std::string html;     ///< no script, no request, inline SVG; light and dark
  std::string json;     ///< `safetylock.report/1`: every number that the page shows
  std::string csv;      ///< the same as rows: section,item,metric,value,low,high,n
  std::string summary;  ///< the page's first lines, as plain text
};

/// Reads `files`, in any order, and puts them on one page. Each is JSON with one of the schemas
/// safetylock.extract/1|2, safetylock.evaluate/1|2, safetylock.transfer/1, safetylock.sweep/1|2. One
/// extraction, one transfer and one sweep at most; evaluations of the unlocked and the locked model and of
/// its base. A section whose file is missing says how to get it. Throws Error io.* and json.* as the readers
/// do, data.schema (no such schema), data.contradiction (counts, shares or heads that cannot be),
/// data.conflict (two files that claim the same place), cfg.* (a field that is missing or of another type),
/// limit.file_size, arg.usage (no file).
Report make_report(const std::vector<std::string>& files, const ReportOptions& options = {});

/// Where the parts of a report go; empty: not written.
struct ReportPaths {
  std::string html, json, csv;
};

/// Writes each part by temporary file and rename. Throws Error io.write.
void write_report(const Report& report, const ReportPaths& paths);

}  // namespace safetylock
