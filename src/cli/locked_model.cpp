#include "cli/locked_model.h"

#include "cli/interrupt.h"
#include "cli/text_format.h"
#include "safetylock/error.h"

namespace safetylock::cli {

void add_locked_model_options(CLI::App& command, LockedModelOptions& options) {
  command.add_option("MODEL", options.model, "GGUF file or Hugging Face folder")->required()->type_name("");
  command.add_option("--lock", options.lock, "Lock made by extract; without one the model runs unlocked")
      ->type_name("FILE");
  add_alpha(command, options.alpha,
            "Strength of the lock, in units of sigma (default: what the lock says; 0: unlocked)");
  command.add_flag("--no-gate", options.no_gate, "Apply a lock that has a gate to every request");
  command
      .add_option("--gate-threshold", options.gate_threshold,
                  "Probability from which on the gate opens (default: what the lock says)")
      ->type_name("P");
  add_number(command, "--gate-ramp", options.gate_ramp, 0, 100,
             "Log-odds below the threshold over which the strength rises from 0 (default 0: on or off)");
  command.add_flag("--no-reread", options.no_reread, "Let the prompt alone decide, whatever the reply is");
  command
      .add_option("--reread-threshold", options.reread_threshold,
                  "Probability from which on a reply opens the gate (default: what the lock says)")
      ->type_name("P");
  command.add_option("--adapter", options.adapter, "Folder of a PEFT LoRA adapter to merge into the model")
      ->type_name("DIR");
}

ApplyOptions LockedModelOptions::apply_options() const {
  return {.alpha = alpha,
          .conditional = !no_gate,
          .gate_threshold = gate_threshold,
          .gate_ramp = gate_ramp,
          .reread = !no_reread,
          .reread_threshold = reread_threshold};
}

std::string gate_text(const GateReading& reading) {
  if (!reading.readable) return "the gate could not be read: locked";
  const std::string probability = text_format("%.2f", reading.probability());
  if (reading.reply_tokens > 0 && reading.share == 1) {
    return text_format("the reply opened the gate after %lld tokens (%.2f): begun anew, locked",
                       static_cast<long long>(reading.reply_tokens), probability_of(*reading.reply_score));
  }
  if (!reading.opened()) return "the gate stayed closed (" + probability + "): not locked";
  if (reading.share < 1)
    return "the gate opened a part of the way (" + probability +
           "): " + text_format("locked at %.0f %% of the strength", 100 * reading.share);
  return "the gate opened (" + probability + "): locked";
}

void check_gate_options(const LockedModelOptions& options) {
  const bool rule =
      options.gate_threshold || options.gate_ramp != 0 || options.no_reread || options.reread_threshold;
  if (!rule && !options.no_gate) return;
  const bool locked = !options.lock.empty();
  if (locked && !(rule && options.no_gate)) return;
  throw Error({.code = "arg.usage",
               .where = rule ? "options about a gate" : "--no-gate",
               .expected = locked ? "a gate that is asked" : "a lock given by --lock",
               .found = locked ? "--no-gate" : "none"});
}

LockedModel load_locked_model(Session& session, const LockedModelOptions& options) {
  if (options.alpha && options.lock.empty()) {
    throw Error(
        {.code = "arg.usage", .where = "--alpha", .expected = "a lock given by --lock", .found = "none"});
  }
  check_gate_options(options);
  std::optional<SafetyLock> lock;
  if (!options.lock.empty()) lock = SafetyLock::load(options.lock);
  const auto check_lock = [&](const ModelConfig& config) {
    if (lock) lock->check_fits(config);
  };
  LockedModel result{
      .model = session.load_model(options.model, options.adapter, check_lock), .lock = {}, .applied = {}};
  check_interrupt();
  if (!lock) {
    session.warn("unlocked: no --lock given");
    return result;
  }
  result.applied.emplace(apply_lock(result.model, *lock, options.apply_options()));
  result.alpha = options.alpha.value_or(lock->default_strength().alpha());
  result.gated = lock->gate() && !options.no_gate;
  result.lock = std::move(lock);
  if (result.alpha == 0) session.warn("unlocked: --alpha 0");
  return result;
}

Json LockedModel::lock_json(const LockedModelOptions& options) const {
  if (!lock) return {{"lock", nullptr}, {"lock_digest", nullptr}, {"alpha", 0.0}, {"apply_seconds", nullptr}};
  return {{"lock", options.lock},
          {"lock_digest", lock->content_digest()},
          {"alpha", alpha},
          {"apply_seconds", applied->seconds()}};
}

}  // namespace safetylock::cli
