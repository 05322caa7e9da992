#include "report/markup.h"
#include "report/sections.h"

namespace safetylock::report {
namespace {

constexpr size_t kLongestField = 500;

std::string source_markup(const Source& source) {
  std::vector<std::vector<std::string>> rows = {{"Field", "value"}, {"SHA-256 of the file", source.sha256}};
  for (const auto& [name, value] : source.fields)
    rows.push_back({cut(name, kLongestField), cut(value, kLongestField)});
  return tag(
      "details", "",
      tag("summary", "",
          name_text(source.file) + " " + tag("span", "class=\"facts\"", escaped(source.schema))) +
          table("What " + cut(source.file, kLongestField) + " says of its making", rows, Cells::texts));
}

}  // namespace

std::string provenance_section(const ReportData& data) {
  std::string content =
      tag("p", "",
          "Every figure above comes from these files, unchanged; the same files give the same page, "
          "byte for byte.");
  for (const Source* source : sources(data)) content += source_markup(*source);
  return section("provenance", "Where the figures come from", content);
}

}  // namespace safetylock::report
