#include "cli/evaluate_options.h"

#include "cli/options.h"

namespace safetylock::cli {

void add_evaluate_options(CLI::App& command, EvaluateOptions& options) {
  add_integer(command, "--max-new-tokens", options.max_new_tokens, 1, 1 << 20,
              "Longest reply, in tokens (default 48)");
  add_integer(command, "--batch", options.batch_size, 1, 65536, "Prompts answered together (default 16)");
  command.add_option("--system", options.system, "System prompt (default: the template's own)")
      ->type_name("TEXT");
  command.add_flag("--trust-special-tokens", options.trust_special_tokens,
                   "Let control tokens in prompts be control tokens");
}

namespace {

template <typename T>
std::vector<T> first_of(std::vector<T> items, std::int64_t first) {
  if (first > 0 && first < static_cast<std::int64_t>(items.size())) items.resize(static_cast<size_t>(first));
  return items;
}

}  // namespace

std::vector<std::string> load_first_prompts(const std::string& file, std::int64_t first) {
  return first_of(load_prompts(file), first);
}

std::vector<PromptPair> load_first_pairs(const std::string& file, std::int64_t first) {
  return first_of(load_prompt_pairs(file), first);
}

}  // namespace safetylock::cli
