// The whole work of evaluate, step by step: each step is done once, kept, and found again by the next run.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/journal.h"
#include "cli/evaluate/setup.h"
#include "cli/session.h"
#include "remote/endpoint.h"
#include "safetylock/utility.h"

namespace safetylock::cli {

/// What was measured in one run: "unlocked", "locked", or "served" for a model at an endpoint.
struct EvaluatedRun {
  std::map<std::string, std::vector<PromptResult>> sets;
  std::vector<ChoiceResult> choices;
  double seconds = 0;
};

struct EvaluatedJob {
  std::vector<std::pair<std::string, EvaluatedRun>> runs;
  std::vector<WindowScore> windows;  ///< shared: each holds the scores of all runs
  std::optional<double> apply_seconds;
  double alpha = 0;
  double seconds = 0;
  std::string served_model;  ///< as the server calls it
};

class EvaluateJob {
 public:
  /// `journal` may be null: nothing is kept. All must outlive this.
  EvaluateJob(Session& session, const EvaluateSetup& setup, const EvaluateInputs& inputs, Journal* journal);

  /// Throws what the measurements throw; what is finished by then is in the journal.
  EvaluatedJob run();

 private:
  struct Batch {
    size_t begin, end;
  };
  std::vector<Batch> batches(size_t count) const;
  std::vector<std::string> run_names() const;
  /// The sets whose replies a judge is asked about.
  bool judged(const std::string& set) const { return judge_ != nullptr && set == "harmful"; }

  /// The kept or fresh value of a step; adds its seconds to `seconds`. `items` is its weight in the progress.
  Json step(const std::string& key, size_t items, double& seconds, const std::function<Json()>& work);
  /// Counts the items of the steps that are not in the journal.
  void plan(size_t windows);
  ProgressCallback step_progress(size_t items);

  const CausalLM& model();
  const CausalLM& base();

  size_t count_windows(EvaluatedJob& job);
  void answer_sets(const std::string& run, EvaluatedRun& result);
  void read_text(size_t windows, EvaluatedJob& job);
  void choose(const std::string& run, EvaluatedRun& result);
  void read_under_base(const std::string& run, EvaluatedRun& result);
  void ask_judge(const std::string& run, EvaluatedRun& result);

  Session& session_;
  const EvaluateSetup& setup_;
  const EvaluateInputs& inputs_;
  Journal* journal_;
  ProgressCallback progress_;
  size_t total_ = 0, done_ = 0;  // items that this process has to do
  std::optional<LockedModel> model_;
  std::optional<CausalLM> base_;
  std::unique_ptr<Endpoint> endpoint_, judge_;
};

}  // namespace safetylock::cli
