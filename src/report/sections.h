// The page's sections, each as markup. A section without its file says in one line how to get it.
#pragma once

#include <string>
#include <string_view>

#include "report/report_data.h"
#include "report/summary.h"

namespace safetylock::report {

std::string summary_section(const Summary& summary, const ReportData& data);
std::string effect_section(const ReportData& data);
std::string answers_section(const ReportData& data);
std::string heads_section(const ReportData& data);
std::string transfer_section(const ReportData& data);
std::string sweep_section(const ReportData& data);
std::string costs_section(const ReportData& data);
std::string provenance_section(const ReportData& data);

/// <section id> with its heading.
std::string section(std::string_view id, std::string_view heading, std::string_view content);

/// "Not measured. `command` adds this section."
std::string how_to_get(std::string_view what, std::string_view command);

/// A figure: its heading (plain text), the picture, and what to see in it (plain text).
std::string figure(std::string_view heading, std::string_view picture, std::string_view caption);

/// Cells that keep to one line (numbers), or break where they must (texts from files).
enum class Cells { numbers, texts };

/// A table that scrolls within itself. Cells are plain text; the first row heads the columns, the first
/// column the rows.
std::string table(std::string_view caption, const std::vector<std::vector<std::string>>& rows,
                  Cells cells = Cells::numbers);

}  // namespace safetylock::report
