// template_sources FOLDER...: for each folder a line {"plain": TEXT, "tools": TEXT}, what its chat templates
// make of one message without and with an (empty) list of tools; {"error": CODE} in place of a text. The
// counterpart of template_sources_oracle.py.
#include <iostream>
#include <nlohmann/json.hpp>

#include "safetylock/chat_template.h"
#include "safetylock/error.h"

namespace {

nlohmann::json rendered(const std::string& folder, const std::string& tools) {
  try {
    safetylock::ChatTemplateOptions options;
    options.tools_json = tools;
    return safetylock::ChatTemplate::from_pretrained(folder).render({{"user", "Hi", ""}}, options).text;
  } catch (const safetylock::Error& e) {
    return {{"error", e.code()}};
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const nlohmann::json line = {{"plain", rendered(argv[i], "")}, {"tools", rendered(argv[i], "[]")}};
    std::cout << line.dump() << '\n';
  }
  return 0;
}
