#include "cli/sampling_options.h"

#include <limits>

#include "cli/number_text.h"
#include "safetylock/error.h"

namespace safetylock::cli {

void add_sampling_options(CLI::App& command, SamplingOptions& sampling) {
  add_number(command, "--temperature", sampling.temperature, 0, 100,
             "Draw tokens, the more freely the higher (0: always take the likeliest)");
  add_integer(command, "--top-k", sampling.top_k, 0, std::numeric_limits<std::int64_t>::max(),
              "Draw from the N likeliest tokens only (0: from all)");
  add_number(command, "--top-p", sampling.top_p, 0, 1,
             "Draw from the likeliest tokens that together reach this probability (1)");
  add_number(command, "--min-p", sampling.min_p, 0, 1,
             "Draw from tokens at least this many times as probable as the likeliest (0)");
  add_number(command, "--repetition-penalty", sampling.repetition_penalty, 0.01, 100,
             "Above 1: makes tokens that have occurred less likely (1)");
  const auto set_seed = [&sampling](const std::string& text) {
    sampling.seed = static_cast<std::uint64_t>(
        parse_integer("--seed", text, 0, std::numeric_limits<std::int64_t>::max()));
  };
  command.add_option_function<std::string>("--seed", set_seed, "The same seed draws the same replies (0)")
      ->type_name("N");
}

void check_sampling_options(const CLI::App& command, const SamplingOptions& sampling) {
  if (sampling.temperature > 0) return;
  for (const char* option : {"--top-k", "--top-p", "--min-p", "--seed"}) {
    if (command.count(option) == 0) continue;
    throw Error({.code = "arg.usage",
                 .where = option,
                 .expected = "--temperature above 0 with it",
                 .found = "temperature 0, at which the likeliest token is always taken",
                 .hint = "Set --temperature"});
  }
}

}  // namespace safetylock::cli
