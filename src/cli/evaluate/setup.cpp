#include "cli/evaluate/setup.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "cli/evaluate_options.h"
#include "cli/json_output.h"
#include "safetylock/error.h"
#include "safetylock/version.h"

namespace safetylock::cli {
namespace {

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{64} << 20;

[[noreturn]] void refuse(std::string where, std::string expected, std::string found) {
  throw Error({.code = "arg.usage",
               .where = std::move(where),
               .expected = std::move(expected),
               .found = std::move(found)});
}

/// A file or a folder's files: name, size, time of change. Hashing gigabytes at every start would take longer
/// than what it saves.
Json weights_json(const std::string& path) {
  namespace fs = std::filesystem;
  Json files = Json::array();
  if (path.empty()) return files;
  const auto add = [&](const fs::path& file) {
    std::error_code failure;
    const auto size = fs::file_size(file, failure);
    if (failure) return;
    const auto changed = fs::last_write_time(file, failure).time_since_epoch().count();
    files.push_back({file.filename().string(), size, failure ? 0 : changed});
  };
  std::error_code failure;
  if (!fs::is_directory(path, failure)) {
    add(path);
    return files;
  }
  std::vector<fs::path> names;
  for (const auto& entry : fs::directory_iterator(path, failure)) names.push_back(entry.path());
  std::sort(names.begin(), names.end());
  for (const fs::path& name : names) add(name);
  return files;
}

std::string digest_of(const std::vector<std::string>& texts) {
  Sha256 hash;
  for (const std::string& text : texts) {
    hash.update(std::to_string(text.size()) + ":");
    hash.update(text);
  }
  return hash.hex();
}

std::string digest_of(const std::vector<ChoiceQuestion>& questions) {
  std::vector<std::string> texts;
  for (const ChoiceQuestion& q : questions) {
    texts.push_back(q.prompt);
    texts.insert(texts.end(), q.choices.begin(), q.choices.end());
    texts.push_back(std::to_string(q.answer));
  }
  return digest_of(texts);
}

}  // namespace

void check_setup(const EvaluateSetup& s) {
  const bool prompts = !s.harmful.empty() || !s.benign.empty() || !s.lookalikes.empty();
  const bool utility = !s.text.empty() || !s.choices.empty();
  if (!prompts && !utility)
    refuse("evaluate", "--harmful, --benign, --lookalikes, --text or --choices", "none of them");
  if (s.model.model.empty() && s.endpoint.empty())
    refuse("evaluate", "MODEL, or a server given by --endpoint", "neither");
  if (s.locked_only && s.model.lock.empty()) refuse("--locked-only", "a lock given by --lock", "none");
  if (!s.endpoint.empty()) {
    for (const auto& [option, value] : {std::pair("--lock", &s.model.lock),
                                        {"--adapter", &s.model.adapter},
                                        {"--text", &s.text},
                                        {"--choices", &s.choices}}) {
      if (!value->empty()) refuse(option, "a model that runs here", "one served at --endpoint");
    }
    if (s.evaluate.trust_special_tokens)
      refuse("--trust-special-tokens", "a model that runs here", "one served at --endpoint");
  }
  check_gate_options(s.model);
  const bool replies = prompts && !s.evaluate.margin_only;
  if (!s.base.empty() && !replies) refuse("--base", "replies to read", "none");
  if (!s.judge.empty() && (s.harmful.empty() || !replies))
    refuse("--judge", "replies to --harmful prompts", "none");
  if (!s.judge_model.empty() && s.judge.empty()) refuse("--judge-model", "a judge given by --judge", "none");
  for (const auto& [option, value] : {std::pair("--system", &s.evaluate.system),
                                      {"MODEL", &s.model.model},
                                      {"--judge-model", &s.judge_model}}) {
    check_utf8(option, *value);
  }
}

EvaluateInputs load_inputs(const EvaluateSetup& setup) {
  EvaluateInputs inputs;
  for (const auto& [name, file] :
       {std::pair("harmful", &setup.harmful), {"benign", &setup.benign}, {"lookalikes", &setup.lookalikes}}) {
    if (!file->empty()) inputs.sets.emplace_back(name, load_first_prompts(*file, setup.first));
  }
  if (!setup.text.empty()) {
    inputs.text = read_file(setup.text, kMaxTextBytes);
    if (const auto offset = utf8::find_invalid(inputs.text)) {
      throw Error({.code = "data.utf8",
                   .file = escape_untrusted(setup.text, 1000),
                   .where = "byte " + std::to_string(*offset),
                   .expected = "valid UTF-8",
                   .found = escape_untrusted(std::string_view(inputs.text).substr(*offset, 4))});
    }
  }
  if (!setup.choices.empty()) inputs.choices = load_choices(setup.choices);
  if (!setup.model.lock.empty()) inputs.lock = SafetyLock::load(setup.model.lock);
  return inputs;
}

Json settings_json(const EvaluateSetup& s) {
  return {{"harmful", text_or_null(s.harmful)},
          {"benign", text_or_null(s.benign)},
          {"lookalikes", text_or_null(s.lookalikes)},
          {"text", text_or_null(s.text)},
          {"choices", text_or_null(s.choices)},
          {"first", s.first == 0 ? Json(nullptr) : Json(s.first)},
          {"base", text_or_null(s.base)},
          {"judge", text_or_null(s.judge)},
          {"judge_model", text_or_null(s.judge_model)},
          {"locked_only", s.locked_only},
          {"no_gate", s.model.no_gate},
          {"gate_threshold", or_null(s.model.gate_threshold)},
          {"gate_ramp", s.model.gate_ramp},
          {"no_reread", s.model.no_reread},
          {"reread_threshold", or_null(s.model.reread_threshold)},
          {"margin_only", s.evaluate.margin_only},
          {"max_new_tokens", s.evaluate.max_new_tokens},
          {"batch", s.evaluate.batch_size},
          {"system", text_or_null(s.evaluate.system)},
          {"trust_special_tokens", s.evaluate.trust_special_tokens}};
}

Json subject_json(const EvaluateSetup& setup, const EvaluateInputs& inputs, const std::string& device,
                  const std::string& dtype) {
  Json subject = {{"schema", "safetylock.evaluate-journal/3"},
                  {"version", SAFETYLOCK_VERSION},
                  {"model", setup.model.model},
                  {"adapter", setup.model.adapter},
                  {"endpoint", setup.endpoint},
                  {"device", device},
                  {"dtype", dtype},
                  {"alpha", or_null(setup.model.alpha)},
                  {"lock", inputs.lock ? inputs.lock->content_digest() : ""},
                  {"model files", weights_json(setup.endpoint.empty() ? setup.model.model : "")},
                  {"adapter files", weights_json(setup.model.adapter)},
                  {"base files", weights_json(setup.base)}};
  subject.update(settings_json(setup));
  for (const auto& [name, prompts] : inputs.sets) subject[name + " prompts"] = digest_of(prompts);
  subject["contents of text"] = sha256_hex(inputs.text);
  subject["contents of choices"] = digest_of(inputs.choices);
  return subject;
}

}  // namespace safetylock::cli
