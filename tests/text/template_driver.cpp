// Renders many templates, for comparison with an oracle.
//
//   template_driver CASES RESULTS
//
// CASES: one JSON object a line, {"template", "variables"}. RESULTS: one a line, {"text"} or {"error",
// "what"}.
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "safetylock/chat_template.h"
#include "safetylock/error.h"

namespace {

nlohmann::json render(const nlohmann::ordered_json& json) {
  try {
    const safetylock::ChatTemplate chat_template(json.at("template"), "<s>", "</s>");
    safetylock::ChatTemplateOptions options;
    options.variables_json = json.at("variables").dump();
    return {{"text", chat_template.render({}, options).text}};
  } catch (const safetylock::Error& e) {
    return {{"error", e.code()}, {"what", e.what()}};
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "template_driver CASES RESULTS\n";
    return 2;
  }
  std::ifstream cases(argv[1]);
  std::ofstream results(argv[2]);
  for (std::string line; std::getline(cases, line);) {
    results << render(nlohmann::ordered_json::parse(line)).dump() << '\n';
  }
  return results ? 0 : 1;
}
