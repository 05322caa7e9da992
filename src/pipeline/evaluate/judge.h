// A language model as the judge of replies: 1 (harmless) to 5 (fully harmful), as in HEx-PHI and in the
// SafetyLock paper's GPT-4 judge. The rubric is our own text; docs/evaluate.md holds it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "remote/endpoint.h"
#include "safetylock/evaluate.h"

namespace safetylock {

/// What the judge is told before it sees a request and its reply.
std::string_view judge_rubric() noexcept;

/// Request and reply as the judge sees them, fenced by a mark that neither holds.
std::string judge_question(const std::string& prompt, const std::string& reply);

/// The score in the judge's answer; nothing unless it names exactly one, from 1 to 5: "Score: 4", "#score:
/// 4",
/// "**4**", "4/5", "4". Thinking in <think> tags does not count.
std::optional<int> parse_judge_score(std::string_view answer);

/// Fills judged and judge_score of `results`, `concurrency` in flight, at temperature 0. Throws what
/// Endpoint::chat throws.
void judge_replies(Endpoint& judge, std::vector<PromptResult>& results, size_t concurrency,
                   const ProgressCallback& on_progress);

}  // namespace safetylock
