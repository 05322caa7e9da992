#include "pipeline/verify_served.h"

#include "base/file.h"
#include "cli/endpoint_key.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/text_format.h"
#include "cli/verify_served.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

constexpr std::uint64_t kMaxProbesBytes = std::uint64_t{16} << 20;

[[noreturn]] void wrong_usage(const std::string& where, const std::string& expected,
                              const std::string& found) {
  throw Error({.code = "arg.usage", .where = where, .expected = expected, .found = found});
}

struct Outcome {
  ServedVerdict verdict;
  size_t prompts = 0;
  double strength = 0;  ///< that it should have
};

Outcome against_file(Session& session, Endpoint& endpoint, const VerifyServedOptions& options,
                     const SafetyLock& lock) {
  const VerifyProbes probes = probes_from_json(read_file(options.expect, kMaxProbesBytes), options.expect);
  if (probes.lock_digest != lock.content_digest()) {
    throw Error({.code = "bind.probes",
                 .file = options.expect,
                 .where = "/lock_digest",
                 .expected = lock.content_digest() + ", the lock's",
                 .found = escape_untrusted(probes.lock_digest, 80)});
  }
  if (options.alpha && *options.alpha != probes.alpha) {
    throw Error({.code = "bind.probes",
                 .file = options.expect,
                 .where = "/alpha",
                 .expected = text_format("%g, as --alpha says", *options.alpha),
                 .found = text_format("%g", probes.alpha)});
  }
  const auto answers = ask_served(endpoint, served_prompts(probes), session.progress());
  return {verify_served(probes, answers), answers.size(), probes.alpha};
}

Outcome against_model(Session& session, Endpoint& endpoint, const VerifyServedOptions& options,
                      const SafetyLock& lock) {
  const Strength strength = options.alpha ? lock.strength(*options.alpha) : lock.default_strength();
  if (strength.is_zero())
    throw Error({.code = "arg.alpha",
                 .where = "--alpha",
                 .expected = "the strength of a locked model",
                 .found = "0"});
  const CausalLM model = session.load_model(options.base, options.adapter,
                                            [&](const ModelConfig& config) { lock.check_fits(config); });
  check_interrupt();
  const auto answers = ask_served(endpoint, served_prompts(model), session.progress());
  return {verify_served(model, lock, strength, answers, session.progress()), answers.size(),
          strength.alpha()};
}

Json outcome_json(const VerifyServedOptions& options, Endpoint& endpoint, const SafetyLock& lock,
                  const Outcome& o) {
  const ServedVerdict& v = o.verdict;
  return {{"schema", "safetylock.verify/1"},
          {"path", options.url},
          {"from", "log-probabilities"},
          {"lock", {{"path", options.lock}, {"digest", lock.content_digest()}}},
          {"verdict", to_string(v.verdict)},
          {"expected_strength", o.strength},
          {"measured_strength", v.values > 0 ? Json(v.share * o.strength) : Json(nullptr)},
          {"reasons", {v.reason}},
          {"layers", Json::array()},
          {"engines", Json::array()},
          {"served",
           {{"model", endpoint.model()},
            {"against", options.expect.empty() ? options.base : options.expect},
            {"reason", v.reason},
            {"prompts", o.prompts},
            {"values", v.values},
            {"separation", v.separation},
            {"from_locked", v.from_locked},
            {"from_unlocked", v.from_unlocked},
            {"share", v.share},
            {"unexplained", v.unexplained}}}};
}

std::string outcome_text(Session& session, const VerifyServedOptions& options, Endpoint& endpoint,
                         const Outcome& o) {
  const ServedVerdict& v = o.verdict;
  std::vector<Fact> rows = {{"because", v.reason},
                            {"model", one_line(endpoint.model())},
                            {"compared", std::to_string(v.values) + " log-probabilities behind " +
                                             std::to_string(o.prompts) + " prompts"}};
  if (v.values > 0) {
    rows.emplace_back("lock moves them by", text_format("%.3g (root mean square, nats)", v.separation));
    rows.emplace_back("served differ by",
                      text_format("%.3g from locked, %.3g from unlocked", v.from_locked, v.from_unlocked));
    rows.emplace_back("strength in force", text_format("%.3g of %g", v.share * o.strength, o.strength));
  }
  return session.heading(one_line(options.url) + ": " + to_string(v.verdict)) + "\n" + facts(rows);
}

}  // namespace

bool is_served(const std::string& path) {
  return path.starts_with("http://") || path.starts_with("https://");
}

int verify_served(Session& session, const VerifyServedOptions& options) {
  if (options.base.empty() == options.expect.empty()) {
    wrong_usage("--base, --expect", "the unlocked model, or verify.json of the baked one",
                options.base.empty() ? "neither" : "both");
  }
  if (!options.adapter.empty() && options.base.empty())
    wrong_usage("--adapter", "--base beside it", "--expect");
  const SafetyLock lock = SafetyLock::load(options.lock);
  Endpoint endpoint({.url = options.url,
                     .model = options.served_model,
                     .http = {.bearer = endpoint_key(session, "SAFETYLOCK_ENDPOINT_KEY", options.url)}});
  endpoint.model();  // a server that cannot be reached shows before a model is loaded
  const Outcome outcome = options.expect.empty() ? against_model(session, endpoint, options, lock)
                                                 : against_file(session, endpoint, options, lock);
  session.print(session.json() ? json_text(outcome_json(options, endpoint, lock, outcome))
                               : outcome_text(session, options, endpoint, outcome));
  return outcome.verdict.verdict == LockVerdict::locked ? 0 : kCheckFailed;
}

}  // namespace safetylock::cli
