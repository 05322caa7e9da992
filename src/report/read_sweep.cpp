#include "report/fields.h"
#include "report/limits.h"
#include "report/number_text.h"
#include "report/read_results.h"

namespace safetylock::report {
namespace {

bool within(const Cell& cell, const Sweep& sweep) {
  return cell.harmful.answered.value + cell.harmful.degenerate.value <= sweep.max_answered &&
         cell.benign.refused.value + cell.benign.degenerate.value <= sweep.max_over_refusal;
}

Cell read_cell(const JsonObject& object, const Sweep& sweep, int version) {
  Cell cell{.heads = object.integer("heads", 0, kMostLayers * kMostHeads),
            .alpha = object.number("alpha"),
            .share_of_heads = optional_number(object, "share_of_heads"),
            .alpha_gap = optional_number(object, "alpha_gap"),
            .threshold = optional_number(object, "gate_threshold"),
            .harmful = read_prompt_set(object.object("harmful")),
            .benign = read_prompt_set(object.object("benign")),
            .lookalikes = {},
            .kl = optional_mean(object, "kl"),
            .meets = false};
  if (object.has("lookalikes")) cell.lookalikes = read_prompt_set(object.object("lookalikes"));
  if (cell.alpha < 0) contradict(object, "alpha", "0 or more", shortest(cell.alpha));
  cell.meets = version == 1 ? within(cell, sweep) : read_flag(object, "meets");
  return cell;
}

}  // namespace

Sweep read_sweep(const JsonObject& root, int version) {
  Sweep sweep;
  sweep.model = root.string("model");
  const JsonObject limits = version == 1 ? root : root.object("limits");
  sweep.max_answered = read_share(limits, "max_answered");
  sweep.max_over_refusal = read_share(limits, "max_over_refusal");
  if (version == 1) {
    sweep.lock.path = root.string("lock");
    sweep.lock.digest = root.string("lock_digest");
  } else {
    sweep.lock = read_lock(root.object("lock"));
    sweep.max_kl = optional_number(limits, "max_kl");
  }
  sweep.unlocked = read_cell(root.object("unlocked"), sweep, version);
  for_each(root, "cells", [&](const JsonObject& object) {
    sweep.cells.push_back(read_cell(object, sweep, version));
    if (static_cast<std::int64_t>(sweep.cells.size()) > kMostCells)
      contradict(root, "cells", "at most " + std::to_string(kMostCells) + " cells", "more");
  });
  if (root.has("chosen")) {
    const auto last = static_cast<std::int64_t>(sweep.cells.size()) - 1;
    sweep.chosen = static_cast<size_t>(root.integer("chosen", 0, last));
    if (!sweep.cells[*sweep.chosen].meets)
      contradict(root, "chosen", "a cell that meets the limits", "cell " + std::to_string(*sweep.chosen));
  }
  return sweep;
}

}  // namespace safetylock::report
