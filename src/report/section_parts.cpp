#include "report/markup.h"
#include "report/sections.h"

namespace safetylock::report {

std::string section(std::string_view id, std::string_view heading, std::string_view content) {
  const std::string heading_id = std::string(id) + "-heading";
  return tag("section", "id=\"" + std::string(id) + "\" aria-labelledby=\"" + heading_id + "\"",
             tag("h2", "id=\"" + heading_id + "\"", escaped(heading)) + std::string(content)) +
         "\n";
}

std::string how_to_get(std::string_view what, std::string_view command) {
  return tag("p", "class=\"missing\"", escaped(what) + " " + tag("code", "", escaped(command)));
}

std::string figure(std::string_view heading, std::string_view picture, std::string_view caption) {
  return tag("figure", "",
             tag("h3", "", escaped(heading)) + std::string(picture) +
                 (caption.empty() ? "" : tag("figcaption", "", escaped(caption))));
}

std::string table(std::string_view caption, const std::vector<std::vector<std::string>>& rows, Cells cells) {
  std::string body;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::string line;
    for (size_t j = 0; j < rows[i].size(); ++j) {
      const bool head = i == 0 || j == 0;
      line += tag(head ? "th" : "td",
                  i == 0   ? "scope=\"col\""
                  : j == 0 ? "scope=\"row\""
                           : "",
                  escaped(rows[i][j]));
    }
    body += tag("tr", "", line);
    if (i == 0) body = tag("thead", "", body) + "<tbody>";
  }
  // Focusable, so that a keyboard can scroll it.
  return tag("div", "class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"" + escaped(caption) + "\"",
             tag("table", cells == Cells::texts ? "class=\"texts\"" : "",
                 tag("caption", "", escaped(caption)) + body + "</tbody>"));
}

}  // namespace safetylock::report
