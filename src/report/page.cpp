#include "report/page.h"

#include "report/markup.h"
#include "report/sections.h"

namespace safetylock::report {
namespace {

// Nothing is loaded and nothing runs, whatever a prompt or a reply may hold.
constexpr const char* kPolicy = "default-src 'none'; style-src 'unsafe-inline'";

std::string subject(const ReportData& data) {
  const auto with_adapter = [](const std::string& model, const std::optional<std::string>& adapter) {
    return tag("b", "", name_text(model)) +
           (adapter ? " with adapter " + tag("b", "", name_text(*adapter)) : "");
  };
  const auto& evaluation = data.locked ? data.locked : data.unlocked;
  if (evaluation) {
    std::string text = with_adapter(evaluation->model, evaluation->adapter);
    if (evaluation->lock) text += ", lock " + tag("b", "", name_text(evaluation->lock->path));
    return text;
  }
  if (data.transfer) return with_adapter(data.transfer->tuned, data.transfer->adapter);
  if (data.sweep) return with_adapter(data.sweep->model, std::nullopt);
  return data.extraction ? with_adapter(data.extraction->model, std::nullopt) : "";
}

std::string contents() {
  std::string items;
  for (const auto& [id, name] :
       {std::pair("summary", "In short"), std::pair("effect", "Before and after"),
        std::pair("answers", "Answers"), std::pair("heads", "Heads"), std::pair("transfer", "Transfer"),
        std::pair("sweep", "Strength"), std::pair("costs", "Costs"), std::pair("provenance", "Provenance")})
    items += tag("a", "href=\"#" + std::string(id) + "\"", name);
  return tag("nav", "aria-label=\"Sections\"", items);
}

}  // namespace

std::string page(const ReportData& data, const Summary& summary, const std::string& title) {
  const std::string head =
      "<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"" +
      std::string(kPolicy) +
      "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" "
      "content=\"no-referrer\">\n"
      "<meta name=\"robots\" content=\"noindex\">\n" +
      tag("title", "", name_text(title)) + "\n<style>\n" + page_style() + "</style>\n";
  const std::string header =
      tag("header", "",
          tag("h1", "", name_text(title)) + tag("p", "class=\"subject\"", subject(data)) + contents());
  const std::string main = tag("main", "",
                               "\n" + summary_section(summary, data) + effect_section(data) +
                                   answers_section(data) + heads_section(data) + transfer_section(data) +
                                   sweep_section(data) + costs_section(data) + provenance_section(data));
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n" + head + "</head>\n<body>\n" + header + "\n" + main +
         "\n</body>\n</html>\n";
}

}  // namespace safetylock::report
