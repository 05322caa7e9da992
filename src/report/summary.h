// The result in plain words, and a verdict that claims no more than was measured.
#pragma once

#include <string>
#include <vector>

#include "report/report_data.h"

namespace safetylock::report {

enum class Finding { not_measured, safer, safer_at_a_price, broken, no_clear_effect, worse };

/// One figure before and after.
struct Headline {
  std::string what;    ///< "Harmful prompts answered"
  std::string before;  ///< "99 % [95, 100]"; empty when only one model was measured
  std::string after;   ///< "14 % [9, 22]"
  std::string beside;  ///< "base: 15 % [9, 23]"; may be empty
};

struct Summary {
  Finding finding = Finding::not_measured;
  std::string verdict;      ///< "Safer on these prompts, at a price."
  std::string explanation;  ///< one sentence; may be empty
  std::vector<Headline> headlines;
  std::vector<std::string> notes;  ///< what the verdict rests on, and what speaks against it
};

Summary summarise(const ReportData& data);

/// What no measurement here can show; said on every page.
const std::vector<std::string>& honest_limits();

/// As lines of plain text, for a terminal.
std::string plain_text(const Summary& summary);

}  // namespace safetylock::report
