#include "text/templates/execution.h"

#include "safetylock/error.h"

namespace safetylock::jinja {

std::string Execution::where() const {
  return "template line " + std::to_string(line);
}

void Execution::charge(std::uint64_t steps) {
  steps_ += steps;
  if (steps_ > kMaxSteps) {
    throw Error({"limit.template_steps", file_, where(), "at most " + std::to_string(kMaxSteps) + " steps",
                 "more", "The template runs away, or the conversation is far beyond any context window"});
  }
}

void Execution::check_text_size(std::uint64_t bytes) const {
  if (bytes > kMaxTextBytes) {
    throw Error({"limit.template_output", file_, where(),
                 "texts of at most " + std::to_string(kMaxTextBytes) + " bytes",
                 std::to_string(bytes) + " bytes", ""});
  }
}

void Execution::fail_type(const std::string& expected, const std::string& found) const {
  throw Error({"template.type", file_, where(), expected, found, ""});
}

void Execution::fail_unsupported(const std::string& what) const {
  throw Error({"template.unsupported", file_, where(), "the Jinja subset that chat templates use", what, ""});
}

void Execution::fail_depth(const std::string& what, int limit) const {
  throw Error({"limit.template_depth", file_, where(),
               "at most " + std::to_string(limit) + " levels of " + what, "more", ""});
}

void Execution::fail_raised(const std::string& message) const {
  throw Error({"template.error", file_, where(), "a conversation that the template accepts",
               escape_untrusted(message), "The template itself refused it"});
}

}  // namespace safetylock::jinja
