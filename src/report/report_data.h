// All result files of one report, each in its place.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/read_results.h"
#include "report/results.h"

namespace safetylock::report {

struct ReportData {
  std::optional<Extraction> extraction;
  std::optional<Evaluation> base;      ///< of another model than the locked one, unlocked
  std::optional<Evaluation> unlocked;  ///< of the model itself, without a lock
  std::optional<Evaluation> locked;    ///< of the model itself, with the lock; may hold both runs
  std::optional<Transfer> transfer;
  std::optional<Sweep> sweep;
  std::vector<std::string> warnings;  ///< files that do not belong together
};

/// Puts each file where it belongs. An evaluation without a lock is the base's when it is of another model or
/// adapter than the locked one (or, without a locked one, when it alone has no adapter). Throws
/// data.conflict.
ReportData arrange(std::vector<ResultFile> files);

/// One of the models that answered: a column of the tables and a bar of the charts.
struct Column {
  const char* name;       ///< "base", "unlocked", "locked"
  const char* css_class;  ///< the same, as a class of the style sheet
  const Run* run;
};

/// In the order base, unlocked, locked; those there are. Points into `data`.
std::vector<Column> columns(const ReportData& data);

const Run* unlocked_run(const ReportData& data);
const Run* locked_run(const ReportData& data);
const PromptSet* set_of(const Run* run, Kind kind);  ///< null if there is none
/// Null if there is none.
const SetComparison* comparison_of(const ReportData& data, Kind kind);

/// The sources of all files: extraction, evaluations, transfer, sweep.
std::vector<const Source*> sources(const ReportData& data);

}  // namespace safetylock::report
