#include "cli/table.h"

#include <algorithm>

#include "cli/text_format.h"

namespace safetylock::cli {
std::string table(const std::vector<TableRow>& rows) {
  std::vector<size_t> widths;
  for (const TableRow& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const TableRow& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const size_t space = widths[i] - row[i].size();
      line.append(i == 0 ? 2 : 2 + space, ' ');
      line.append(row[i]);
      if (i == 0) line.append(space, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out.append(line);
    out.push_back('\n');
  }
  return out;
}

std::string facts(const std::vector<Fact>& rows) {
  size_t width = 0;
  for (const auto& [name, value] : rows) width = std::max(width, name.size());
  std::string out;
  for (const auto& [name, value] : rows)
    out += "  " + name + std::string(width - name.size(), ' ') + "  " + value + "\n";
  return out;
}

std::string fixed(double value, int decimals) {
  return text_format("%.*f", decimals, value);
}

std::string with_sign(double value) {
  return text_format("%+.2f", value);
}

std::string interval(double low, double high) {
  return text_format("[%.3f, %.3f]", low, high);
}

TableRow rate_row(const std::string& name, const Rate& rate) {
  return {name, std::to_string(rate.count) + "/" + std::to_string(rate.n),
          text_format("%.0f %%", 100 * rate.value),
          text_format("[%.0f %%, %.0f %%]", 100 * rate.low, 100 * rate.high)};
}

TableRow mean_row(const std::string& name, const Mean& mean) {
  return {name, "n = " + std::to_string(mean.n), with_sign(mean.value),
          text_format("[%+.2f, %+.2f]", mean.low, mean.high)};
}

}  // namespace safetylock::cli
