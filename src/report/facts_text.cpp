// The rows as JSON and as CSV.
#include "base/json.h"
#include "base/utf8.h"
#include "report/facts.h"
#include "report/number_text.h"

namespace safetylock::report {
namespace {

template <typename T>
Json json_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

// What spreadsheets evaluate begins with one of these, be it behind blanks.
std::string text_cell(const std::string& text) {
  const std::string valid = utf8::to_valid(text);
  const size_t first = valid.find_first_not_of(" \t\r\n");
  const bool formula =
      first != std::string::npos && std::string("=+-@|%").find(valid[first]) != std::string::npos;
  const bool control = !valid.empty() && (valid[0] == '\t' || valid[0] == '\r' || valid[0] == '\n');
  const std::string safe = formula || control ? "'" + valid : valid;
  return safe.find_first_of(",\"\r\n") == std::string::npos ? safe : quoted(safe);
}

std::string number_cell(const std::optional<double>& value) {
  return value ? shortest(*value) : "";
}

}  // namespace

std::string facts_json(const std::vector<Fact>& facts, const ReportData& data, const Summary& summary,
                       const std::string& title) {
  Json rows = Json::array();
  for (const Fact& fact : facts)
    rows.push_back({{"section", fact.section},
                    {"item", fact.item},
                    {"metric", fact.metric},
                    {"value", fact.value ? Json(*fact.value) : Json(fact.text)},
                    {"low", json_or_null(fact.low)},
                    {"high", json_or_null(fact.high)},
                    {"n", json_or_null(fact.n)}});
  Json inputs = Json::array();
  for (const Source* source : sources(data))
    inputs.push_back({{"file", source->file}, {"schema", source->schema}, {"sha256", source->sha256}});
  const Json json = {{"schema", "safetylock.report/1"},
                     {"title", title},
                     {"verdict", summary.verdict + " " + summary.explanation},
                     {"limits", honest_limits()},
                     {"warnings", data.warnings},
                     {"inputs", std::move(inputs)},
                     {"facts", std::move(rows)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string facts_csv(const std::vector<Fact>& facts) {
  std::string csv = "section,item,metric,value,low,high,n\n";
  for (const Fact& fact : facts)
    csv += text_cell(fact.section) + "," + text_cell(fact.item) + "," + text_cell(fact.metric) + "," +
           (fact.value ? shortest(*fact.value) : text_cell(fact.text)) + "," + number_cell(fact.low) + "," +
           number_cell(fact.high) + "," + (fact.n ? std::to_string(*fact.n) : "") + "\n";
  return csv;
}

}  // namespace safetylock::report
