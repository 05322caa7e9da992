#include <CLI/Version.hpp>

#include "base/file.h"
#include "base/versions.h"
#include "cli/doctor_report.h"
#include "cli/help.h"
#include "cli/inspect_parts.h"
#include "cli/json_output.h"
#include "cli/options.h"
#include "cli/printable.h"
#include "cli/progress_bar.h"
#include "cli/table.h"
#include "model/device_dtype.h"
#include "safetylock/error.h"
#include "safetylock/version.h"

namespace safetylock::cli {
namespace {

constexpr int kSomethingMissing = 5;

struct Feature {
  const char* name;
  const char* flag;  ///< as Linux spells it
};
constexpr Feature kFeatures[] = {{"AVX2", "avx2"},
                                 {"FMA", "fma"},
                                 {"AVX-512", "avx512f"},
                                 {"AVX512-BF16", "avx512_bf16"},
                                 {"AVX512-FP16", "avx512_fp16"},
                                 {"AMX-BF16", "amx_bf16"}};

std::vector<Fact> versions(const TorchHost& torch) {
  std::vector<Fact> rows = {{"safetylock", SAFETYLOCK_VERSION}, {"libtorch", torch.version}};
  for (Fact& fact : core_versions()) rows.push_back(std::move(fact));
  rows.emplace_back("CLI11", CLI11_VERSION);
  return rows;
}

/// Only the headers and tables of the file are read.
AskedModel ask(const std::string& path) {
  AskedModel asked{.path = path, .problem = {}};
  try {
    const Json model = inspect_model(path);
    asked.parameters = model.at("parameters");
    for (const char* part : {"tokenizer", "chat_template"}) {
      if (!model.at(part).at("supported")) asked.problem = model.at(part).at("problem");
    }
  } catch (const Error& error) {
    asked.problem = error.what();
  }
  return asked;
}

Json cuda_json(const TorchHost& torch, bool driver) {
  Json devices = Json::array();
  for (const CudaDevice& device : torch.devices)
    devices.push_back({{"total_bytes", device.total_bytes}, {"free_bytes", device.free_bytes}});
  return {{"built", torch.cuda_built},
          {"runtime_version", torch.cuda_version ? Json(*torch.cuda_version) : Json(nullptr)},
          {"driver_loaded", driver},
          {"devices", std::move(devices)}};
}

Json object_of(const std::vector<Fact>& facts) {
  Json json = Json::object();
  for (const auto& [name, value] : facts) json[name] = value;
  return json;
}

Json cpu_json(const HostCpu& cpu, const TorchHost& torch) {
  Json features = Json::object();
  for (const Feature& feature : kFeatures) features[feature.name] = cpu.has(feature.flag);
  return {{"model", cpu.model},
          {"processors", cpu.logical},
          {"usable_processors", cpu.usable},
          {"cgroup_processors", cpu.quota ? Json(*cpu.quota) : Json(nullptr)},
          {"features", std::move(features)},
          {"libtorch_kernels", torch.cpu_kernels},
          {"safetylock_kernels", torch.own_kernels},
          {"threads", torch.threads},
          {"openmp", torch.openmp}};
}

Json models_json(const DoctorInput& input) {
  Json models = Json::array();
  for (const PackagedModel& model : input.models) {
    models.push_back({{"name", model.name},
                      {"path", model.path},
                      {"bytes", model.bytes},
                      {"present", model.present},
                      {"damaged", model.damaged}});
  }
  return models;
}

Json report_json(const DoctorInput& input, const std::vector<Finding>& findings, bool healthy) {
  const HostMemory& memory = input.host.memory;
  Json missing = Json::array(), notes = Json::array();
  for (const Finding& finding : findings)
    (finding.needed ? missing : notes).push_back({{"what", finding.what}, {"advice", finding.advice}});
  return {{"schema", "safetylock.doctor/1"},
          {"ok", healthy},
          {"versions", object_of(versions(input.torch))},
          {"cpu", cpu_json(input.host.cpu, input.torch)},
          {"memory",
           {{"total_bytes", memory.total},
            {"available_bytes", memory.available},
            {"cgroup_limit_bytes", memory.limit ? Json(*memory.limit) : Json(nullptr)},
            {"usable_bytes", memory.usable()}}},
          {"cuda", cuda_json(input.torch, input.host.nvidia_driver)},
          {"cache", {{"folder", input.cache}, {"exists", is_directory(input.cache)}}},
          {"packaged_models", models_json(input)},
          {"model", input.asked ? Json(input.asked->path) : Json(nullptr)},
          {"speed", object_of(speeds(input))},
          {"automatic_dtype", automatic_dtype(input.torch)},
          {"missing", std::move(missing)},
          {"notes", std::move(notes)}};
}

std::string size(std::uint64_t bytes) {
  return bytes_text(static_cast<double>(bytes));
}

std::string features_text(const HostCpu& cpu) {
  std::string with, without;
  for (const Feature& feature : kFeatures) {
    std::string& list = cpu.has(feature.flag) ? with : without;
    list += (list.empty() ? "" : ", ") + std::string(feature.name);
  }
  return (with.empty() ? "none" : with) + (without.empty() ? "" : "; not " + without);
}

std::string cuda_text(const TorchHost& torch) {
  if (!torch.cuda_built) return "not in this libtorch";
  if (torch.devices.empty()) return "in this libtorch, but no device is visible";
  std::string text;
  for (const CudaDevice& device : torch.devices)
    text += (text.empty() ? "" : "; ") + size(device.free_bytes) + " free of " + size(device.total_bytes);
  return text;
}

std::vector<Fact> host_facts(const DoctorInput& input) {
  const auto& [cpu, memory, driver] = input.host;
  std::string processors = std::to_string(cpu.usable) + " usable of " + std::to_string(cpu.logical);
  if (cpu.quota) processors += "; a control group allows " + fixed(*cpu.quota, 1);
  return {{"processor", one_line(cpu.model)},
          {"features", features_text(cpu)},
          {"processors", processors},
          {"threads", std::to_string(input.torch.threads)},
          {"memory", size(memory.available) + " available of " + size(memory.total)},
          {"control group", memory.limit ? "at most " + size(*memory.limit) : "no memory limit"},
          {"CUDA", cuda_text(input.torch)}};
}

std::vector<Fact> file_facts(const DoctorInput& input) {
  std::vector<Fact> rows = {
      {"cache", one_line(input.cache) + (is_directory(input.cache) ? "" : " (not there yet)")}};
  for (const PackagedModel& model : input.models) {
    rows.emplace_back(model.name, model.present   ? one_line(model.path)
                                  : model.damaged ? "damaged"
                                                  : "not there");
  }
  if (input.asked) rows.emplace_back("model", one_line(input.asked->path));
  return rows;
}

std::string report(const Session& session, const DoctorInput& input, const std::vector<Finding>& findings,
                   bool healthy) {
  std::string out = session.heading("Versions") + "\n" + facts(versions(input.torch)) +
                    session.heading("Host") + "\n" + facts(host_facts(input)) + session.heading("Speed") +
                    "\n" + facts(speeds(input)) + session.heading("Files") + "\n" + facts(file_facts(input)) +
                    session.heading("Verdict") + "\n";
  for (const Finding& finding : findings) {
    const std::string label = finding.needed ? session.terminal().styled(Stream::out, Style::red, "missing:")
                                             : session.terminal().styled(Stream::out, Style::yellow, "note:");
    out += "  " + label + " " + finding.what + "\n";
    if (!finding.advice.empty()) out += "    " + finding.advice + "\n";
  }
  return out + "  " +
         (healthy ? session.terminal().styled(Stream::out, Style::green, "ready")
                  : session.terminal().styled(Stream::out, Style::red, "not ready")) +
         "\n";
}

/// A word that is no device or no dtype is an error of usage; a CUDA device that is not there is a finding.
void check_words(const std::string& device, const std::string& dtype) {
  parse_dtype(dtype, at::kCPU);
  if (!device.starts_with("cuda")) parse_device(device);
}

int run_doctor(Session& session, const std::string& model) {
  check_words(session.device(), session.dtype());
  DoctorInput input{.host = read_host(),
                    .torch = read_torch_host(),
                    .cache = cache_folder(),
                    .models = packaged_models(),
                    .asked = {},
                    .device = session.device(),
                    .dtype = session.dtype()};
  if (!model.empty()) input.asked = ask(model);
  const std::vector<Finding> findings = examine(input);
  const bool healthy =
      std::none_of(findings.begin(), findings.end(), [](const Finding& f) { return f.needed; });
  session.print(session.json() ? json_text(report_json(input, findings, healthy))
                               : report(session, input, findings, healthy));
  return healthy ? 0 : kSomethingMissing;
}

}  // namespace

void add_doctor_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("doctor", "Says what this machine can do and what is missing");
  const auto model = std::make_shared<std::string>();
  command
      ->add_option("MODEL", *model,
                   "Also whether this model can be used here: GGUF file or Hugging Face folder")
      ->type_name("");
  add_common_options(*command, common);
  teach(*command, Group::begin, {"safetylock doctor", "safetylock doctor models/tuned --device cuda --json"});
  command->callback(
      [model, &action] { action = [model](Session& session) { return run_doctor(session, *model); }; });
}

}  // namespace safetylock::cli
