#include "analysis/trials.h"

namespace safetylock {

std::vector<std::vector<HeadScore>> score_trials(const RankingInput& input, std::span<const Trial> trials,
                                                 const RankOptions& options, const char* stage) {
  std::vector<HeadScorer> scorers;
  scorers.reserve(trials.size());
  for (const Trial& trial : trials)
    scorers.emplace_back(trial.labels, input.questions, trial.splits, options);
  std::vector<std::vector<HeadScore>> scores(
      trials.size(), std::vector<HeadScore>(static_cast<size_t>(input.heads.heads())));
  for_each_head(input.heads, stage, options.on_progress,
                [&](std::int64_t head, const std::vector<double>& rows, std::int64_t dim) {
                  for (size_t t = 0; t < scorers.size(); ++t) {
                    HeadScore& score = scores[t][static_cast<size_t>(head)];
                    score = scorers[t].judge(rows, dim).score;
                    score.id = {head / input.heads_per_layer, head % input.heads_per_layer};
                  }
                });
  return scores;
}

}  // namespace safetylock
