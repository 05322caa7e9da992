#include "cli/help.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/text_format.h"
#include "cli/verify_served.h"
#include "safetylock/error.h"
#include "safetylock/verify.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::string path, lock;
  VerifyOptions verify;
  std::string expect, served_model;
};

Json report_json(const VerifyReport& r, const Options& options, const SafetyLock& lock) {
  Json layers = Json::array();
  for (const LayerVerification& l : r.layers) {
    layers.push_back({{"layer", l.layer},
                      {"locked", l.locked},
                      {"strength", l.strength},
                      {"residual", l.residual},
                      {"problem", text_or_null(l.problem)}});
  }
  Json engines = Json::array();
  for (const EngineVerdict& v : r.engines)
    engines.push_back({{"engine", v.engine}, {"verdict", to_string(v.support)}, {"why", v.why}});
  return {{"schema", "safetylock.verify/1"},
          {"path", options.path},
          {"from", "weights"},
          {"lock", {{"path", options.lock}, {"digest", lock.content_digest()}}},
          {"verdict", to_string(r.verdict)},
          {"expected_strength", r.expected_strength},
          {"measured_strength", or_null(r.measured_strength)},
          {"reasons", r.reasons},
          {"layers", std::move(layers)},
          {"engines", std::move(engines)}};
}

std::string report_text(Session& session, const VerifyReport& r, const Options& options) {
  std::string text = session.heading(printable(options.path) + ": " + to_string(r.verdict)) + "\n";
  std::vector<Fact> rows = {{"expected strength", text_format("%g", r.expected_strength)}};
  if (r.measured_strength) rows.emplace_back("measured strength", text_format("%.4g", *r.measured_strength));
  for (const std::string& reason : r.reasons) rows.emplace_back("because", printable(reason));
  for (const EngineVerdict& v : r.engines) rows.emplace_back(v.engine, to_string(v.support) + ": " + v.why);
  return text + facts(rows);
}

int verify_weights(Session& session, const Options& options) {
  const SafetyLock lock = SafetyLock::load(options.lock);
  const VerifyReport report = verify_lock(options.path, lock, options.verify);
  session.print(session.json() ? json_text(report_json(report, options, lock))
                               : report_text(session, report, options));
  if (report.verdict == LockVerdict::locked)
    session.note("note: the weights are locked; whether an engine reads the biases shows in what it serves");
  return report.verdict == LockVerdict::locked ? 0 : kCheckFailed;
}

int run_verify(Session& session, const Options& options) {
  if (is_served(options.path)) {
    return verify_served(session, {.url = options.path,
                                   .lock = options.lock,
                                   .base = options.verify.base,
                                   .adapter = options.verify.adapter,
                                   .expect = options.expect,
                                   .served_model = options.served_model,
                                   .alpha = options.verify.alpha});
  }
  for (const auto& [name, value] :
       {std::pair{"--expect", &options.expect}, {"--served-model", &options.served_model}}) {
    if (!value->empty())
      throw Error(
          {.code = "arg.usage", .where = name, .expected = "the address of a server", .found = "a path"});
  }
  return verify_weights(session, options);
}

}  // namespace

void add_verify_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("verify", "Whether a model is really locked, and how strongly");
  const auto options = std::make_shared<Options>();
  command
      ->add_option(
          "PATH", options->path,
          "Hugging Face folder, GGUF file, or http:// address of a server (key: SAFETYLOCK_ENDPOINT_KEY)")
      ->required()
      ->type_name("");
  command->add_option("--lock", options->lock, "The lock that should be in it")
      ->required()
      ->type_name("FILE");
  add_alpha(*command, options->verify.alpha,
            "Strength it should have, in units of sigma (default: what the lock says)");
  command
      ->add_option("--base", options->verify.base,
                   "The model before it was locked: for a server, or if it had o_proj biases of its own")
      ->type_name("MODEL");
  command->add_option("--adapter", options->verify.adapter, "PEFT LoRA adapter that PATH is served with")
      ->type_name("DIR");
  command
      ->add_option("--expect", options->expect,
                   "For a server, instead of --base: verify.json of the baked model")
      ->type_name("FILE");
  command
      ->add_option("--served-model", options->served_model,
                   "Name of the model on the server (default: its only one)")
      ->type_name("NAME");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock verify models/tuned-locked --lock base.lock.safetensors",
         "safetylock verify locked.gguf --lock base.lock.safetensors --alpha 4 --json",
         "safetylock verify http://127.0.0.1:8000 --lock base.lock.safetensors --expect "
         "models/tuned-locked/verify.json"});
  command->callback(
      [options, &action] { action = [options](Session& session) { return run_verify(session, *options); }; });
}

}  // namespace safetylock::cli
