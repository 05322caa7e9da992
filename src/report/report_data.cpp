#include "report/report_data.h"

#include <algorithm>
#include <set>

#include "report/number_text.h"
#include "safetylock/error.h"

namespace safetylock::report {
namespace {

[[noreturn]] void conflict(const std::string& place, const Source& first, const Source& second) {
  throw Error({.code = "data.conflict",
               .file = escape_untrusted(second.file),
               .expected = "one file for " + place,
               .found = "this one beside " + escape_untrusted(first.file),
               .hint = "Leave one of them out"});
}

template <typename T>
void place(std::optional<T>& where, T&& value, const char* what) {
  if (where) conflict(what, where->source, value.source);
  where = std::forward<T>(value);
}

bool same_model(const Evaluation& a, const Evaluation& b) {
  return a.model == b.model && a.adapter == b.adapter;
}

void place_unlocked(ReportData& data, std::vector<Evaluation> evaluations) {
  constexpr const char* kBase = "the base (an evaluation of another model, without a lock)";
  constexpr const char* kSame = "the model without its lock";
  if (!data.locked) {
    if (evaluations.size() == 1) {
      data.unlocked = std::move(evaluations[0]);
      return;
    }
    // Of two unlocked models the one with an adapter is the fine-tuned one.
    for (Evaluation& e : evaluations) {
      if (e.adapter) {
        place(data.unlocked, std::move(e), kSame);
      } else {
        place(data.base, std::move(e), kBase);
      }
    }
    return;
  }
  for (Evaluation& e : evaluations) {
    if (!same_model(e, *data.locked)) {
      place(data.base, std::move(e), kBase);
    } else if (data.locked->unlocked) {
      conflict(kSame, data.locked->source, e.source);
    } else {
      place(data.unlocked, std::move(e), kSame);
    }
  }
}

void compare_locks(ReportData& data) {
  const auto check = [&](const LockName& lock, const Source& source) {
    const LockName& used = *data.locked->lock;
    if (lock.digest == used.digest) return;
    data.warnings.push_back(source.file + " is about another lock (digest " + lock.digest.substr(0, 12) +
                            ") than the one evaluated (" + used.digest.substr(0, 12) + ").");
  };
  if (!data.locked) return;
  if (data.extraction) check(data.extraction->lock, data.extraction->source);
  if (data.transfer) check(data.transfer->lock, data.transfer->source);
}

std::multiset<std::string> prompts_of(const PromptSet& set) {
  std::multiset<std::string> prompts;
  for (const Reply& reply : set.replies) prompts.insert(reply.prompt);
  return prompts;
}

void compare_prompts(ReportData& data) {
  const std::vector<Column> all = columns(data);
  if (all.empty()) return;
  for (const Kind kind : kKinds) {
    const PromptSet* last = set_of(all.back().run, kind);
    if (last == nullptr) continue;
    const auto wanted = prompts_of(*last);
    for (const Column& column : all) {
      const PromptSet* set = set_of(column.run, kind);
      if (set != nullptr && prompts_of(*set) != wanted)
        data.warnings.push_back(std::string(title_of(kind)) + ": the " + column.name +
                                " model was not asked the same prompts as the " + all.back().name +
                                " one; their shares cannot be compared.");
    }
  }
}

}  // namespace

ReportData arrange(std::vector<ResultFile> files) {
  ReportData data;
  std::vector<Evaluation> unlocked;
  for (ResultFile& file : files) {
    if (auto* extraction = std::get_if<Extraction>(&file)) {
      place(data.extraction, std::move(*extraction), "the lock's extraction");
    } else if (auto* transfer = std::get_if<Transfer>(&file)) {
      place(data.transfer, std::move(*transfer), "the transfer");
    } else if (auto* sweep = std::get_if<Sweep>(&file)) {
      place(data.sweep, std::move(*sweep), "the sweep");
    } else if (auto& evaluation = std::get<Evaluation>(file); evaluation.locked) {
      place(data.locked, std::move(evaluation), "the model with its lock");
    } else {
      unlocked.push_back(std::move(evaluation));
    }
  }
  place_unlocked(data, std::move(unlocked));
  compare_locks(data);
  compare_prompts(data);
  return data;
}

const Run* unlocked_run(const ReportData& data) {
  if (data.unlocked) return &*data.unlocked->unlocked;
  return data.locked && data.locked->unlocked ? &*data.locked->unlocked : nullptr;
}

const Run* locked_run(const ReportData& data) {
  return data.locked ? &*data.locked->locked : nullptr;
}

std::vector<Column> columns(const ReportData& data) {
  std::vector<Column> all;
  if (data.base) all.push_back({"base", "base", &*data.base->unlocked});
  if (const Run* run = unlocked_run(data)) all.push_back({"unlocked", "unlocked", run});
  if (const Run* run = locked_run(data)) all.push_back({"locked", "locked", run});
  return all;
}

const PromptSet* set_of(const Run* run, Kind kind) {
  return run != nullptr && run->sets[kind] ? &*run->sets[kind] : nullptr;
}

const SetComparison* comparison_of(const ReportData& data, Kind kind) {
  if (!data.locked || !data.locked->comparison || !data.locked->comparison->sets[kind]) return nullptr;
  return &*data.locked->comparison->sets[kind];
}

std::vector<const Source*> sources(const ReportData& data) {
  std::vector<const Source*> all;
  if (data.extraction) all.push_back(&data.extraction->source);
  for (const auto* evaluation : {&data.base, &data.unlocked, &data.locked})
    if (*evaluation) all.push_back(&(*evaluation)->source);
  if (data.transfer) all.push_back(&data.transfer->source);
  if (data.sweep) all.push_back(&data.sweep->source);
  return all;
}

}  // namespace safetylock::report
