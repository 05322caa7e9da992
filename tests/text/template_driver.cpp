// Renders many templates, for comparison with an oracle.
//
//   template_driver CASES RESULTS
//
// CASES: one JSON object a line: {"template", "variables"}, and optionally "messages", "tools",
// "add_generation_prompt", "bos_token", "eos_token". RESULTS: one a line, {"text"} or {"error", "what"}.
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "safetylock/chat_template.h"
#include "safetylock/error.h"
#include "text/chat_messages.h"

namespace {

using namespace safetylock;

nlohmann::json render(const test::OrderedJson& json) {
  try {
    const ChatTemplate chat_template(json.at("template"), json.value("bos_token", "<s>"),
                                     json.value("eos_token", "</s>"));
    ChatTemplateOptions options;
    options.variables_json = json.at("variables").dump();
    options.add_generation_prompt = json.value("add_generation_prompt", false);
    if (json.contains("tools")) options.tools_json = json.at("tools").dump();
    options.clock = test::golden_now;
    const auto messages =
        json.contains("messages") ? test::messages_of(json.at("messages")) : std::vector<ChatMessage>();
    return {{"text", chat_template.render(messages, options).text}};
  } catch (const Error& e) {
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
    results << render(test::OrderedJson::parse(line)).dump() << '\n';
  }
  return results ? 0 : 1;
}
