// Plain tables: columns aligned, first column to the left, the others to the right.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "safetylock/evaluate.h"

namespace safetylock::cli {

using TableRow = std::vector<std::string>;
/// Each row indented by two spaces, columns two spaces apart. Cells hold ASCII; rows may be of unequal
/// length.
std::string table(const std::vector<TableRow>& rows);

using Fact = std::pair<std::string, std::string>;
/// "  name   value" lines, values aligned to the left.
std::string facts(const std::vector<Fact>& rows);

std::string fixed(double value, int decimals);
std::string with_sign(double value);                           ///< "+1.23"
std::string interval(double low, double high);                 ///< "[0.12, 0.34]"
TableRow rate_row(const std::string& name, const Rate& rate);  ///< name, "3/24", "13 %", "[4 %, 31 %]"
TableRow mean_row(const std::string& name, const Mean& mean);  ///< name, "n = 24", "+1.23", "[+0.80, +1.70]"

}  // namespace safetylock::cli
