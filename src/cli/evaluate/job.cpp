#include "cli/evaluate/job.h"

#include <chrono>

#include "cli/endpoint_key.h"
#include "cli/evaluate/records.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "pipeline/evaluate/endpoint_replies.h"
#include "pipeline/evaluate/judge.h"

namespace safetylock::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::string key_of(const std::string& run, const std::string& what, size_t begin) {
  return run + "/" + what + "/" + std::to_string(begin);
}

std::unique_ptr<Endpoint> connect(Session& session, const std::string& url, const std::string& model,
                                  const char* key_variable, std::int64_t timeout) {
  if (url.empty()) return nullptr;
  return std::make_unique<Endpoint>(
      EndpointOptions{.url = url,
                      .model = model,
                      .http = {.bearer = endpoint_key(session, key_variable, url),
                               .timeout = std::chrono::seconds(timeout)}});
}

template <typename Item>
std::vector<Item> slice(const std::vector<Item>& items, size_t begin, size_t end) {
  return {items.begin() + static_cast<std::ptrdiff_t>(begin),
          items.begin() + static_cast<std::ptrdiff_t>(end)};
}

}  // namespace

EvaluateJob::EvaluateJob(Session& session, const EvaluateSetup& setup, const EvaluateInputs& inputs,
                         Journal* journal)
    : session_(session),
      setup_(setup),
      inputs_(inputs),
      journal_(journal),
      progress_(session.progress()),
      endpoint_(
          connect(session, setup.endpoint, setup.model.model, "SAFETYLOCK_ENDPOINT_KEY", setup.timeout)),
      judge_(connect(session, setup.judge, setup.judge_model, "SAFETYLOCK_JUDGE_KEY", setup.timeout)) {}

std::vector<EvaluateJob::Batch> EvaluateJob::batches(size_t count) const {
  const auto size = static_cast<size_t>(setup_.evaluate.batch_size);
  std::vector<Batch> result;
  for (size_t begin = 0; begin < count; begin += size)
    result.push_back({begin, std::min(begin + size, count)});
  return result;
}

std::vector<std::string> EvaluateJob::run_names() const {
  if (endpoint_ != nullptr) return {"served"};
  if (!inputs_.lock) return {"unlocked"};
  if (setup_.locked_only) return {"locked"};
  return {"unlocked", "locked"};
}

Json EvaluateJob::step(const std::string& key, size_t items, double& seconds,
                       const std::function<Json()>& work) {
  const auto timed = [&] {
    check_interrupt();
    const auto begin = Clock::now();
    Json value = work();
    return Json{{"seconds", std::chrono::duration<double>(Clock::now() - begin).count()},
                {"value", std::move(value)}};
  };
  const bool kept = journal_ != nullptr && journal_->has(key);
  Json result = journal_ != nullptr ? journal_->step(key, timed) : timed();
  if (!kept) done_ += items;
  seconds += result.at("seconds").get<double>();
  return std::move(result.at("value"));
}

void EvaluateJob::plan(size_t windows) {
  const auto add = [&](const std::string& key, size_t items) {
    if (journal_ == nullptr || !journal_->has(key)) total_ += items;
  };
  for (const std::string& run : run_names()) {
    for (const auto& [set, prompts] : inputs_.sets) {
      for (const Batch& b : batches(prompts.size())) {
        add(key_of(run, set, b.begin), b.end - b.begin);
        if (!setup_.base.empty()) add(key_of(run, set + " under the base", b.begin), b.end - b.begin);
        if (judged(set)) add(key_of(run, set + " judged", b.begin), b.end - b.begin);
      }
    }
    for (const Batch& b : batches(inputs_.choices.size()))
      add(key_of(run, "choices", b.begin), b.end - b.begin);
  }
  for (size_t i = 0; i < windows; ++i) add(key_of("all", "text", i), 1);
}

ProgressCallback EvaluateJob::step_progress(size_t items) {
  return [this, items](const Progress& step) {
    const auto within = step.total == 0 ? 0 : static_cast<std::int64_t>(items) * step.done / step.total;
    return progress_({.stage = "evaluating",
                      .done = static_cast<std::int64_t>(done_) + within,
                      .total = static_cast<std::int64_t>(total_),
                      .unit = "items"});
  };
}

const CausalLM& EvaluateJob::model() {
  if (!model_) model_.emplace(load_locked_model(session_, setup_.model));
  return model_->model;
}

const CausalLM& EvaluateJob::base() {
  if (base_) return *base_;
  model_.reset();  // two models need not fit at once
  // Reported as a part of the whole: a stage of its own would start the bar's clock anew.
  base_.emplace(CausalLM::from_pretrained(
      setup_.base,
      {.device = session_.device(), .dtype = session_.dtype(), .on_progress = step_progress(0)}));
  return *base_;
}

size_t EvaluateJob::count_windows(EvaluatedJob& job) {
  if (inputs_.text.empty()) return 0;
  const Json count = step("windows of text", 0, job.seconds,
                          [&] { return Json(text_windows(model().tokenizer(), inputs_.text).size()); });
  return count.get<size_t>();
}

void EvaluateJob::answer_sets(const std::string& run, EvaluatedRun& result) {
  for (const auto& [set, prompts] : inputs_.sets) {
    for (const Batch& b : batches(prompts.size())) {
      const size_t items = b.end - b.begin;
      const Json records = step(key_of(run, set, b.begin), items, result.seconds, [&, &all = prompts] {
        EvaluateOptions options = setup_.evaluate;
        options.on_progress = step_progress(items);
        const std::vector<std::string> some = slice(all, b.begin, b.end);
        std::vector<PromptResult> replies;
        if (endpoint_ != nullptr) {
          replies = endpoint_replies(*endpoint_, some, options);
        } else {
          if (run == "unlocked") options.strength = Strength(0);
          replies = evaluate(model(), some, options).results;
        }
        Json kept = Json::array();
        for (const PromptResult& reply : replies) kept.push_back(to_record(reply));
        return kept;
      });
      for (size_t i = 0; i < items; ++i)
        result.sets[set].push_back(prompt_result(records.at(i), prompts[b.begin + i]));
    }
  }
}

void EvaluateJob::read_text(size_t windows, EvaluatedJob& job) {
  const Passes passes{.unlocked = !setup_.locked_only, .locked = inputs_.lock.has_value()};
  std::vector<std::vector<TokenId>> tokens;
  for (size_t i = 0; i < windows; ++i) {
    const Json record = step(key_of("all", "text", i), 1, job.seconds, [&] {
      if (tokens.empty()) tokens = text_windows(model().tokenizer(), inputs_.text);
      if (!step_progress(1)({.stage = {}, .done = 0, .total = 1, .unit = {}})) check_interrupt();
      return to_record(score_window(model(), tokens.at(i), passes));
    });
    job.windows.push_back(window_score(record));
  }
}

void EvaluateJob::choose(const std::string& run, EvaluatedRun& result) {
  for (const Batch& b : batches(inputs_.choices.size())) {
    const size_t items = b.end - b.begin;
    const Json records = step(key_of(run, "choices", b.begin), items, result.seconds, [&] {
      EvaluateOptions options = setup_.evaluate;
      options.on_progress = step_progress(items);
      if (run == "unlocked") options.strength = Strength(0);
      Json kept = Json::array();
      for (const ChoiceResult& r : answer_choices(model(), slice(inputs_.choices, b.begin, b.end), options))
        kept.push_back(to_record(r));
      return kept;
    });
    for (const Json& record : records) result.choices.push_back(choice_result(record));
  }
}

void EvaluateJob::read_under_base(const std::string& run, EvaluatedRun& result) {
  if (setup_.base.empty()) return;
  for (const auto& [set, prompts] : inputs_.sets) {
    std::vector<PromptResult>& replies = result.sets.at(set);
    for (const Batch& b : batches(prompts.size())) {
      const size_t items = b.end - b.begin;
      const Json values = step(key_of(run, set + " under the base", b.begin), items, result.seconds, [&] {
        EvaluateOptions options = setup_.evaluate;
        options.on_progress = step_progress(items);
        Json kept = Json::array();
        for (const std::optional<double>& value :
             reply_perplexities(base(), slice(replies, b.begin, b.end), options))
          kept.push_back(or_null(value));
        return kept;
      });
      for (size_t i = 0; i < items; ++i)
        replies[b.begin + i].base_perplexity = optional_value<double>(values.at(i));
    }
  }
}

void EvaluateJob::ask_judge(const std::string& run, EvaluatedRun& result) {
  for (auto& [set, replies] : result.sets) {
    if (!judged(set)) continue;
    for (const Batch& b : batches(replies.size())) {
      const size_t items = b.end - b.begin;
      const Json scores =
          step(key_of(run, set + " judged", b.begin), items, result.seconds, [&, &all = replies] {
            std::vector<PromptResult> some = slice(all, b.begin, b.end);
            judge_replies(*judge_, some, items, step_progress(items));
            Json kept = Json::array();
            for (const PromptResult& reply : some) kept.push_back(or_null(reply.judge_score));
            return kept;
          });
      for (size_t i = 0; i < items; ++i) {
        replies[b.begin + i].judged = true;
        replies[b.begin + i].judge_score = optional_value<int>(scores.at(i));
      }
    }
  }
}

EvaluatedJob EvaluateJob::run() {
  EvaluatedJob job;
  if (inputs_.lock) {
    job.alpha = setup_.model.alpha.value_or(inputs_.lock->default_strength().alpha());
    double loading = 0;
    job.apply_seconds = step("apply", 0, loading, [&] {
                          model();
                          return Json(model_->applied->seconds());
                        }).get<double>();
  }
  if (endpoint_ != nullptr) job.served_model = endpoint_->model();
  const size_t windows = count_windows(job);
  plan(windows);
  for (const std::string& run : run_names()) {
    EvaluatedRun result;
    answer_sets(run, result);
    choose(run, result);
    job.runs.emplace_back(run, std::move(result));
  }
  read_text(windows, job);
  for (auto& [run, result] : job.runs) read_under_base(run, result);
  for (auto& [run, result] : job.runs) ask_judge(run, result);
  for (const auto& [run, result] : job.runs) job.seconds += result.seconds;
  return job;
}

}  // namespace safetylock::cli
