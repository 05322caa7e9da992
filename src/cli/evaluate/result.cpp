#include "cli/evaluate/result.h"

#include "base/versions.h"
#include "cli/json_output.h"
#include "cli/table.h"
#include "cli/text_format.h"
#include "safetylock/version.h"

namespace safetylock::cli {
namespace {

Json lock_json(const EvaluateSetup& setup, const EvaluateInputs& inputs, double alpha) {
  if (!inputs.lock) return nullptr;
  Json gate = nullptr;
  if (inputs.lock->gate() && !setup.model.no_gate) {
    const std::optional<Gate>& replies = inputs.lock->reply_gate();
    gate = {{"threshold", setup.model.gate_threshold.value_or(inputs.lock->gate()->threshold)},
            {"ramp", setup.model.gate_ramp},
            {"reread_threshold", replies && !setup.model.no_reread
                                     ? Json(setup.model.reread_threshold.value_or(replies->threshold))
                                     : Json(nullptr)}};
  }
  return {{"path", setup.model.lock},
          {"digest", inputs.lock->content_digest()},
          {"alpha", alpha},
          {"heads", inputs.lock->heads().size()},
          {"gate", std::move(gate)}};
}

Json versions_json(Session& session) {
  Json versions = {{"safetylock", SAFETYLOCK_VERSION}};
  for (const auto& [name, version] : core_versions()) versions[name] = version;
  versions["device"] = session.device();
  versions["dtype"] = session.dtype();
  return versions;
}

TableRow mcnemar_row(const std::string& name, const McNemar& test) {
  return {name, std::to_string(test.unlocked_only) + " unlocked only",
          std::to_string(test.locked_only) + " locked only", text_format("p = %.2g", test.p)};
}

TableRow plain_row(const std::string& name, const Mean& mean) {
  return {name, "n = " + std::to_string(mean.n), text_format("%.3g", mean.value),
          text_format("[%.3g, %.3g]", mean.low, mean.high)};
}

std::vector<TableRow> set_rows(const Evaluation& e, bool margin_only, bool served) {
  std::vector<TableRow> rows;
  if (!margin_only) {
    rows = {rate_row("answered", e.answered), rate_row("refused", e.refused),
            rate_row("degenerate", e.degenerate)};
    if (e.early_end.count > 0) rows.push_back(rate_row("ended early", e.early_end));
    rows.push_back(plain_row("distinct word pairs", e.distinct_2));
    if (e.base_perplexity.n > 0) rows.push_back(plain_row("perplexity under the base", e.base_perplexity));
    if (e.judge_score.n > 0) {
      rows.push_back(plain_row("judge's score, 1 to 5", e.judge_score));
      rows.push_back(rate_row("judged fully harmful", e.judged_harmful));
    }
    if (e.judge_unreadable > 0)
      rows.push_back({"judge's answer unreadable", std::to_string(e.judge_unreadable)});
  }
  if (e.opened.n > 0) rows.push_back(rate_row("gate opened", e.opened));
  rows.push_back(rate_row("likeliest first token refuses", e.refuses_first));
  if (e.refusal_margin.n > 0) rows.push_back(mean_row("refusal margin", e.refusal_margin));
  if (served && e.refusal_margin.n == 0)
    rows.push_back({"refusal margin", "the server gives no logprobs of it"});
  return rows;
}

/// Everything of one job, made into JSON and tables side by side.
class Writer {
 public:
  Writer(Session& session, const EvaluateSetup& setup, const EvaluateInputs& inputs, const EvaluatedJob& job)
      : session_(session), setup_(setup), inputs_(inputs), job_(job) {}

  EvaluateResult result() {
    Json runs = Json::object();
    for (const auto& [name, run] : job_.runs) runs[name] = run_json(name, run);
    Json json = {{"schema", "safetylock.evaluate/2"},
                 {"model", setup_.endpoint.empty() ? setup_.model.model : job_.served_model},
                 {"adapter", text_or_null(setup_.model.adapter)},
                 {"endpoint", text_or_null(setup_.endpoint)},
                 {"lock", lock_json(setup_, inputs_, job_.alpha)},
                 {"settings", settings_json(setup_)},
                 {"runs", std::move(runs)},
                 {"comparison", nullptr}};
    if (job_.runs.size() == 2) json["comparison"] = comparison_json();
    json["seconds"] = job_.seconds;
    json["apply_seconds"] = or_null(job_.apply_seconds);
    json["versions"] = versions_json(session_);
    return {std::move(json), std::move(text_)};
  }

 private:
  void add_table(const std::string& title, const std::vector<TableRow>& rows) {
    text_ += session_.heading(title) + "\n" + table(rows);
  }

  Json run_json(const std::string& name, const EvaluatedRun& run) {
    Json sets = Json::object();
    std::int64_t tokens = 0;
    for (const auto& [set, prompts] : inputs_.sets) {
      const Evaluation e = summarise(run.sets.at(set), !setup_.evaluate.margin_only);
      for (const PromptResult& r : e.results) tokens += r.tokens.value_or(0);
      Json json = to_json(e);
      json.erase("seconds");
      sets[set] = std::move(json);
      add_table(name + ", " + set + ": " + std::to_string(prompts.size()) + " prompts",
                set_rows(e, setup_.evaluate.margin_only, !setup_.endpoint.empty()));
      evaluations_[name][set] = e;
    }
    return {{"sets", std::move(sets)},
            {"utility", utility_json(name, run)},
            {"seconds", run.seconds},
            {"tokens_generated", tokens}};
  }

  Json utility_json(const std::string& name, const EvaluatedRun& run) {
    if (job_.windows.empty() && run.choices.empty()) return nullptr;
    Json json = {{"text", nullptr}, {"choices", nullptr}};
    std::vector<TableRow> rows;
    if (!job_.windows.empty()) {
      std::int64_t tokens = 0;
      for (const WindowScore& window : job_.windows) tokens += window.tokens;
      const Mean mean = perplexity(job_.windows, name == "locked");
      json["text"] = {{"perplexity", to_json(mean)}, {"tokens", tokens}};
      rows.push_back(plain_row("perplexity of the text", mean));
    }
    if (!run.choices.empty()) {
      const Rate rate = accuracy(run.choices);
      json["choices"] = {{"accuracy", to_json(rate)}, {"results", choices_json(run)}};
      rows.push_back(rate_row("multiple choice", rate));
    }
    add_table(name + ", utility", rows);
    return json;
  }

  Json choices_json(const EvaluatedRun& run) const {
    Json results = Json::array();
    for (size_t i = 0; i < run.choices.size(); ++i) {
      const ChoiceResult& r = run.choices[i];
      results.push_back({{"prompt", inputs_.choices[i].prompt},
                         {"chosen", inputs_.choices[i].choices.at(r.chosen)},
                         {"right", r.right},
                         {"scores", r.scores}});
    }
    return results;
  }

  Json comparison_json() {
    Json sets = Json::object();
    for (const auto& [set, prompts] : inputs_.sets) {
      const SetComparison c = compare(evaluations_["unlocked"][set], evaluations_["locked"][set]);
      sets[set] = {{"answered", to_json(c.answered)},
                   {"refused", to_json(c.refused)},
                   {"degenerate", to_json(c.degenerate)},
                   {"margin_shift", to_json(c.margin_shift)}};
      std::vector<TableRow> rows;
      if (!setup_.evaluate.margin_only) {
        rows = {mcnemar_row("answered", c.answered), mcnemar_row("refused", c.refused),
                mcnemar_row("degenerate", c.degenerate)};
      }
      rows.push_back(mean_row("margin, locked - unlocked", c.margin_shift));
      add_table("unlocked against locked, " + set, rows);
    }
    Json utility = nullptr;
    std::vector<TableRow> rows;
    const EvaluatedRun &unlocked = job_.runs[0].second, &locked = job_.runs[1].second;
    if (!job_.windows.empty() || !unlocked.choices.empty())
      utility = {{"kl", nullptr}, {"perplexity_ratio", nullptr}, {"choices", nullptr}};
    if (!job_.windows.empty()) {
      const Mean kl = mean_kl(job_.windows);
      const double ratio = perplexity(job_.windows, true).value / perplexity(job_.windows, false).value;
      utility["kl"] = to_json(kl);
      utility["perplexity_ratio"] = ratio;
      rows.push_back(plain_row("KL, nats a token", kl));
      rows.push_back({"perplexity, locked / unlocked", "", text_format("%.3f", ratio)});
    }
    if (!unlocked.choices.empty()) {
      const McNemar test = compare(unlocked.choices, locked.choices);
      utility["choices"] = to_json(test);
      rows.push_back(mcnemar_row("multiple choice right", test));
    }
    if (!rows.empty()) add_table("unlocked against locked, utility", rows);
    return {{"sets", std::move(sets)}, {"utility", std::move(utility)}};
  }

  Session& session_;
  const EvaluateSetup& setup_;
  const EvaluateInputs& inputs_;
  const EvaluatedJob& job_;
  std::map<std::string, std::map<std::string, Evaluation>> evaluations_;  // run, set
  std::string text_;
};

}  // namespace

EvaluateResult result_of(Session& session, const EvaluateSetup& setup, const EvaluateInputs& inputs,
                         const EvaluatedJob& job) {
  return Writer(session, setup, inputs, job).result();
}

}  // namespace safetylock::cli
