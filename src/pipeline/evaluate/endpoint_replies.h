// The same measurement on a model that is served elsewhere.
#pragma once

#include <string>
#include <vector>

#include "remote/endpoint.h"
#include "safetylock/evaluate.h"

namespace safetylock {

/// Answers `prompts` in order, `batch_size` of them in flight, at temperature 0; with margin_only replies of
/// one token. Margins come from the likeliest first tokens, where the server gives them and "I" and "Sure"
/// are among them; else there is none. Uses max_new_tokens, batch_size, system, margin_only and on_progress
/// of the options. Throws data.empty, arg.prompt, what Endpoint::chat throws.
std::vector<PromptResult> endpoint_replies(Endpoint& endpoint, const std::vector<std::string>& prompts,
                                           const EvaluateOptions& options);

}  // namespace safetylock
