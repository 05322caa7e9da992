#include <algorithm>
#include <fstream>

#include "base/file.h"
#include "cli/help.h"
#include "cli/inspect_parts.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/progress_bar.h"
#include "cli/table.h"
#include "formats/model_folder.h"

namespace safetylock::cli {
namespace {

/// A value of the JSON as a table cell.
std::string cell(const Json& value) {
  if (value.is_string()) return one_line(value.get<std::string>());
  if (value.is_number_float()) return fixed(value.get<double>(), 4);
  if (!value.is_array()) return one_line(value.dump());
  std::string text;
  for (const Json& item : value) text += (text.empty() ? "" : ", ") + cell(item);
  return text.empty() ? "none" : text;
}

std::string bytes_of(const Json& value) {
  return bytes_text(value.get<double>());
}

std::string part_text(const Json& part, const std::string& detail) {
  return part.at("supported").get<bool>() ? detail : "not usable: " + cell(part.at("problem"));
}

std::string model_text(const Session& session, const Json& model) {
  const Json& c = model.at("config");
  const Json& tokenizer = model.at("tokenizer");
  const std::string vocabulary =
      tokenizer.contains("vocab_size") ? cell(tokenizer.at("vocab_size")) + " tokens" : "";
  std::vector<TableRow> storage = {{"storage", "tensors", "parameters", "bytes"}};
  for (const Json& row : model.at("storage"))
    storage.push_back(
        {cell(row.at("type")), cell(row.at("tensors")), cell(row.at("parameters")), cell(row.at("bytes"))});
  return session.heading("Model, " + cell(model.at("format"))) + "\n" +
         facts({{"architecture", cell(c.at("architecture"))},
                {"layers", cell(c.at("layers"))},
                {"heads", cell(c.at("heads")) + ", " + cell(c.at("kv_heads")) + " for keys and values"},
                {"head size", cell(c.at("head_dim"))},
                {"hidden size", cell(c.at("hidden_size"))},
                {"vocabulary", cell(c.at("vocab_size"))},
                {"context", cell(c.at("context")) + " tokens"},
                {"parameters", cell(model.at("parameters"))},
                {"weights", bytes_of(model.at("stored_bytes")) + " stored; in memory " +
                                bytes_of(model.at("memory_bytes").at("float32")) + " as float32, " +
                                bytes_of(model.at("memory_bytes").at("bfloat16")) + " as bfloat16"},
                {"tokenizer", part_text(tokenizer, vocabulary)},
                {"chat template", part_text(model.at("chat_template"), "yes")},
                {"works with", cell(model.at("supports"))}}) +
         table(storage);
}

std::string adapter_text(const Session& session, const Json& adapter) {
  return session.heading("Adapter, " + cell(adapter.at("format"))) + "\n" +
         facts({{"base model", cell(adapter.at("base_model"))},
                {"modules", cell(adapter.at("modules"))},
                {"targets", cell(adapter.at("targets"))},
                {"rank", cell(adapter.at("rank").at("min")) + " to " + cell(adapter.at("rank").at("max"))},
                {"replaced tensors", cell(adapter.at("replaced_tensors"))},
                {"parameters", cell(adapter.at("parameters"))},
                {"works with", cell(adapter.at("supports")) + " (--adapter)"}});
}

/// Heads of a lock that are listed: more than a screen helps nobody.
constexpr size_t kMostHeads = 48;

std::vector<Fact> gate_facts(const Json& gate) {
  const auto share = [&](const char* part, const char* whole) {
    return cell(gate.at(part)) + " of " + cell(gate.at(whole));
  };
  std::string heads;
  for (const Json& head : gate.at("heads")) {
    heads += (heads.empty() ? "" : ", ") + cell(head.at("layer")) + "." + cell(head.at("head")) + " " +
             cell(head.at("position"));
  }
  return {{"opens at", "a probability of " + cell(gate.at("threshold"))},
          {"missed", share("missed", "harmful") + " harmful requests of topics it had not seen"},
          {"false alarms", share("false_alarms", "harmless") + " harmless ones"},
          {"made from", cell(gate.at("prompts_digest"))},
          {"reads", heads}};
}

std::string gates_text(const Session& session, const Json& lock) {
  const Json &gate = lock.at("gate"), &reply_gate = lock.at("reply_gate");
  if (gate.is_null()) return facts({{"acts on", "every request"}});
  const bool rereads = !reply_gate.is_null();
  std::string text = facts({{"acts on", rereads ? "requests that open its gate, and those whose replies do"
                                                : "requests that open its gate"}}) +
                     session.heading("Gate") + "\n" + facts(gate_facts(gate));
  if (rereads) text += session.heading("Gate of replies") + "\n" + facts(gate_facts(reply_gate));
  return text + session.heading("Locked heads") + "\n";
}

std::string lock_text(const Session& session, const Json& lock) {
  std::vector<Fact> known = {{"digest", cell(lock.at("content_digest"))},
                             {"alpha", cell(lock.at("alpha"))},
                             {"largest alpha", cell(lock.at("alpha_max"))}};
  for (const auto& [name, value] : lock.at("identity").items()) known.emplace_back(name, cell(value));
  std::vector<TableRow> heads = {{"layer.head", "score", "sigma"}};
  const Json& all = lock.at("heads");
  const size_t shown = std::min(all.size(), kMostHeads);
  for (size_t i = 0; i < shown; ++i)
    heads.push_back({cell(all[i].at("layer")) + "." + cell(all[i].at("head")), cell(all[i].at("score")),
                     cell(all[i].at("sigma"))});
  const std::string rest =
      shown == all.size() ? "" : "  and " + std::to_string(all.size() - shown) + " more (--json has them)\n";
  return session.heading("SafetyLock of " + std::to_string(all.size()) + " heads") + "\n" + facts(known) +
         gates_text(session, lock) + table(heads) + rest;
}

/// By its bytes, whatever its name is: a safetensors file begins with a length and a brace. (A GGUF file may
/// have that brace, too.)
bool looks_like_lock(const std::string& path) {
  if (is_directory(path)) return false;
  if (path.ends_with(".safetensors")) return true;
  std::string head(9, '\0');
  std::ifstream file(path, std::ios::binary);
  return file.read(head.data(), static_cast<std::streamsize>(head.size())) && head.back() == '{' &&
         !head.starts_with("GGUF");
}

int run_inspect(Session& session, const std::string& path_or_repository) {
  const std::string path = resolve_model_path(path_or_repository);
  Json result;
  if (is_directory(path) && is_regular_file(join_path(path, "adapter_config.json"))) {
    result = inspect_adapter(path);
  } else if (looks_like_lock(path)) {
    result = inspect_lock(path);
  } else {
    result = inspect_model(path);
  }
  const std::string kind = result.at("kind");
  if (session.json()) {
    session.print(json_text(result));
  } else {
    session.print(kind == "lock"      ? lock_text(session, result)
                  : kind == "adapter" ? adapter_text(session, result)
                                      : model_text(session, result));
  }
  return 0;
}

}  // namespace

void add_inspect_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("inspect", "Says what a model, an adapter or a lock is");
  const auto path = std::make_shared<std::string>();
  command->add_option("PATH", *path, "GGUF file, Hugging Face folder, adapter folder or lock")
      ->required()
      ->type_name("");
  add_common_options(*command, common);
  teach(*command, Group::begin,
        {"safetylock inspect models/base", "safetylock inspect base.lock.safetensors --json"});
  command->callback(
      [path, &action] { action = [path](Session& session) { return run_inspect(session, *path); }; });
}

}  // namespace safetylock::cli
