#include "report/markup.h"
#include "report/sections.h"

namespace safetylock::report {
namespace {

std::string headline_markup(const Headline& headline) {
  std::string figures;
  if (!headline.before.empty())
    figures =
        tag("span", "class=\"before\"", escaped(headline.before)) + tag("span", "class=\"arrow\"", " → ");
  const size_t bracket = headline.after.find(" [");
  figures += tag("span", "class=\"after\"", escaped(headline.after.substr(0, bracket)));
  if (bracket != std::string::npos)
    figures += tag("span", "class=\"interval\"", escaped(headline.after.substr(bracket)));
  return tag("div", "class=\"headline\"",
             tag("dt", "", escaped(headline.what)) + tag("dd", "", figures) +
                 (headline.beside.empty() ? "" : tag("dd", "class=\"beside\"", escaped(headline.beside))));
}

std::string list(const std::vector<std::string>& items, const char* attributes) {
  std::string body;
  for (const std::string& item : items) body += tag("li", "", escaped(item));
  return items.empty() ? "" : tag("ul", attributes, body);
}

}  // namespace

std::string summary_section(const Summary& summary, const ReportData& data) {
  std::string headlines;
  for (const Headline& headline : summary.headlines) headlines += headline_markup(headline);
  if (!headlines.empty()) headlines = tag("dl", "class=\"headlines\"", headlines);
  std::string found = tag("p", "class=\"verdict\"",
                          tag("strong", "", escaped(summary.verdict) + " ") + escaped(summary.explanation)) +
                      list(summary.notes, "class=\"notes\"");
  if (summary.finding == Finding::not_measured)
    found +=
        how_to_get("To measure it:",
                   "safetylock evaluate MODEL --lock LOCK --harmful FILE --benign FILE -o evaluate.json");
  if (!headlines.empty())
    found +=
        tag("p", "class=\"key\"", "Brackets hold 95 % intervals: Wilson’s for shares, bootstrap for means.");
  const std::string limits =
      tag("h3", "", "What these figures cannot show") + list(honest_limits(), "class=\"limits\"");
  return section("summary", "In short",
                 list(data.warnings, "class=\"warnings\"") + headlines +
                     tag("div", "class=\"two\"", tag("div", "", found) + tag("div", "", limits)));
}

}  // namespace safetylock::report
