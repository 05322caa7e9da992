#pragma once

#include <string>

#include "report/report_data.h"
#include "report/summary.h"

namespace safetylock::report {

/// The whole page. `title` is plain text.
std::string page(const ReportData& data, const Summary& summary, const std::string& title);

/// The style sheet, with the heat map's colours for light and dark.
std::string page_style();

}  // namespace safetylock::report
