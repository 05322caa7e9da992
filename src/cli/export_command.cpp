#include "bake/control_vector.h"
#include "bake/lock_bias.h"
#include "base/file.h"
#include "cli/help.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/output_file.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/text_format.h"
#include "formats/model_folder.h"
#include "pipeline/control_vector_gap.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

struct Options {
  std::string lock, format, model, output;
  bool no_gate = false;
  std::optional<double> alpha;
};

Json gate_json(const std::optional<Gate>& gate) {
  if (!gate) return nullptr;
  Json heads = Json::array();
  for (const GateHead& head : gate->heads) {
    heads.push_back({{"layer", head.id.layer},
                     {"head", head.id.head},
                     {"position", to_string(head.position)},
                     {"weights", head.weights}});
  }
  return {{"threshold", gate->threshold}, {"bias", gate->bias}, {"heads", std::move(heads)}};
}

/// The lock as data: exact per head, and with a model also behind o_proj.
Json vectors_json(const Options& options, const SafetyLock& lock, double alpha) {
  Json heads = Json::array(), inputs = Json::object(), outputs = nullptr;
  for (const HeadDirection& head : lock.heads())
    heads.push_back({{"layer", head.id.layer},
                     {"head", head.id.head},
                     {"sigma", head.sigma},
                     {"direction", head.direction}});
  const auto model = options.model.empty() ? nullptr : ModelTensors::open(resolve_model_path(options.model));
  if (model) {
    lock.check_fits(model->config());
    outputs = Json::object();
  }
  for (const std::int64_t layer : lock.layers()) {
    std::vector<double> input;
    for (const float d : lock.displacement(layer)) input.push_back(alpha * static_cast<double>(d));
    inputs[std::to_string(layer)] = input;
    if (!model) continue;
    std::vector<double> output = lock_bias(*model, lock, layer, nullptr);
    for (double& b : output) b *= alpha;
    outputs[std::to_string(layer)] = output;
  }
  const LockIdentity& id = lock.identity();
  Json hooks = Json::array();
  hooks.push_back({{"hook", "self_attn.o_proj.input"}, {"exact", true}, {"layers", std::move(inputs)}});
  if (model) {
    hooks.push_back({{"hook", "self_attn.o_proj.output"},
                     {"exact", true},
                     {"model", options.model},
                     {"layers", std::move(outputs)}});
  }
  return {{"schema", "safetylock.vectors/1"}, {"lock_digest", lock.content_digest()},
          {"architecture", id.architecture},  {"base_model", id.base_model},
          {"head_dim", id.head_dim},          {"alpha", alpha},
          {"heads", std::move(heads)},        {"hooks", std::move(hooks)},
          {"gate", gate_json(lock.gate())},   {"reply_gate", gate_json(lock.reply_gate())}};
}

Json summary(const Options& options, const SafetyLock& lock, double alpha) {
  return {{"schema", "safetylock.export/1"},      {"format", options.format}, {"output", options.output},
          {"lock_digest", lock.content_digest()}, {"alpha", alpha},           {"control_vector", nullptr}};
}

int export_json(Session& session, const Options& options, const SafetyLock& lock, double alpha) {
  write_file_atomically(options.output, json_line(vectors_json(options, lock, alpha)));
  session.print(session.json()
                    ? json_text(summary(options, lock, alpha))
                    : session.heading("Vectors " + one_line(options.output)) + "\n  exact, at strength " +
                          text_format("%g", alpha) + "; to be added to the input of o_proj" +
                          (options.model.empty() ? "" : ", or to its output") + " at every token\n");
  return 0;
}

int export_control_vector(Session& session, const Options& options, const SafetyLock& lock,
                          Strength strength) {
  const auto tensors = ModelTensors::open(resolve_model_path(options.model));
  const ControlVector vector = make_control_vector(*tensors, lock, strength);
  if (vector.without_layer_0)
    session.warn("the locked heads of layer 0 are left out: engines add no control vector there");
  const CausalLM model = session.load_model(options.model);
  const ControlVectorGap gap =
      control_vector_gap(model, lock, strength, vector.directions, session.progress());
  const std::string description =
      text_format(
          "An APPROXIMATION of a SafetyLock at strength %g: added behind the MLP of each layer, not before "
          "it.",
          strength.alpha()) +
      text_format(" Against the lock itself: logits up to %.3g apart, KL %.3g nats a token",
                  gap.largest_logit_gap, gap.mean_kl) +
      text_format(" (unlocked model: %.3g).", gap.mean_kl_unlocked);
  write_file_atomically(options.output, control_vector_gguf(vector, lock, strength,
                                                            {.description = description,
                                                             .largest_logit_gap = gap.largest_logit_gap,
                                                             .mean_kl = gap.mean_kl}));
  Json out = summary(options, lock, strength.alpha());
  out["control_vector"] = {{"exact", false},
                           {"layers", vector.directions.size()},
                           {"without_layer_0", vector.without_layer_0},
                           {"model_hint", vector.model_hint},
                           {"prompts", gap.prompts},
                           {"tokens", gap.tokens},
                           {"largest_logit_gap", gap.largest_logit_gap},
                           {"mean_kl", gap.mean_kl},
                           {"mean_kl_unlocked", gap.mean_kl_unlocked},
                           {"same_first_token", gap.same_first_token}};
  session.print(session.json() ? json_text(out)
                               : session.heading("Control vector " + one_line(options.output)) + "\n  " +
                                     description + "\n");
  return 0;
}

int run_export(Session& session, const Options& options) {
  const bool control_vector = options.format == "gguf-control-vector";
  if (!control_vector && options.format != "json") {
    throw Error({.code = "arg.format",
                 .where = "--format",
                 .expected = "json or gguf-control-vector",
                 .found = "\"" + escape_untrusted(options.format) + "\""});
  }
  if (control_vector && options.model.empty()) {
    throw Error({.code = "arg.usage",
                 .where = "--model",
                 .expected = "the model that the control vector is for",
                 .found = "nothing",
                 .hint = "Its o_proj weights turn the lock into vectors of the residual stream"});
  }
  check_can_write(options.output);
  const SafetyLock lock = SafetyLock::load(options.lock);
  if (control_vector && lock.gate() && !options.no_gate) {
    throw Error({.code = "bind.export",
                 .file = escape_untrusted(options.lock, 1000),
                 .where = "the lock's gate",
                 .expected = "a lock without one",
                 .found = "a gate, which decides for each request: a control vector acts on every token",
                 .hint = "--no-gate exports the lock to act on every request"});
  }
  const Strength strength = options.alpha ? lock.strength(*options.alpha) : lock.default_strength();
  if (strength.is_zero()) {
    throw Error({.code = "arg.alpha", .where = "--alpha", .expected = "a strength above 0", .found = "0"});
  }
  return control_vector ? export_control_vector(session, options, lock, strength)
                        : export_json(session, options, lock, strength.alpha());
}

}  // namespace

void add_export_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("export", "Writes a lock as vectors for other tools");
  const auto options = std::make_shared<Options>();
  command->add_option("LOCK", options->lock, "Lock made by extract or import")->required()->type_name("");
  command
      ->add_option(
          "--format", options->format,
          "json: exact, per head and layer; gguf-control-vector: an approximation, with its logit gap")
      ->required()
      ->type_name("json|gguf-control-vector");
  command
      ->add_option("--model", options->model,
                   "Model it is for, GGUF file or Hugging Face folder; JSON: also what to add behind o_proj")
      ->type_name("MODEL");
  command->add_option("-o,--output", options->output, "The file to write")->required()->type_name("FILE");
  add_alpha(*command, options->alpha,
            "Strength of the lock, in units of sigma (default: what the lock says)");
  command->add_flag("--no-gate", options->no_gate,
                    "As a control vector: a lock that has a gate acts on every request (else it is refused)");
  add_common_options(*command, common);
  teach(*command, Group::locks,
        {"safetylock export base.lock.safetensors --format json -o base.lock.json",
         "safetylock export base.lock.safetensors --format gguf-control-vector --model tuned.gguf -o "
         "tuned.cvec.gguf"});
  command->callback(
      [options, &action] { action = [options](Session& session) { return run_export(session, *options); }; });
}

}  // namespace safetylock::cli
