#include <algorithm>

#include "text/templates/builtins.h"

namespace safetylock::jinja {

std::vector<std::optional<Value>> bind_arguments(Execution& run, const std::string& callee,
                                                 const Arguments& arguments,
                                                 const std::vector<std::string_view>& parameters,
                                                 size_t required) {
  if (arguments.positional.size() > parameters.size()) {
    run.fail_type("at most " + std::to_string(parameters.size()) + " arguments of " + callee,
                  std::to_string(arguments.positional.size()));
  }
  std::vector<std::optional<Value>> bound(arguments.positional.begin(), arguments.positional.end());
  bound.resize(parameters.size());
  for (const auto& [name, value] : arguments.keywords) {
    const auto parameter = std::find(parameters.begin(), parameters.end(), name);
    if (parameter == parameters.end())
      run.fail_type("the arguments that " + callee + " has", "\"" + name + "\"");
    auto& slot = bound[static_cast<size_t>(parameter - parameters.begin())];
    if (slot) run.fail_type("\"" + name + "\" of " + callee + " once", "twice");
    slot = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!bound[i]) run.fail_type("at least " + std::to_string(required) + " arguments of " + callee, "fewer");
  }
  return bound;
}

}  // namespace safetylock::jinja
