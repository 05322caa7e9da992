// What `doctor` finds: facts of the host, and what follows from them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/host.h"
#include "base/json.h"
#include "cli/packaged_models.h"
#include "model/torch_host.h"

namespace safetylock::cli {

/// The model that the host is asked about.
struct AskedModel {
  std::string path;
  std::string problem;  ///< why it cannot be used; empty: it can
  std::uint64_t parameters = 0;
};

struct DoctorInput {
  HostInfo host;
  TorchHost torch;
  std::string cache;
  std::vector<PackagedModel> models;
  std::optional<AskedModel> asked;
  std::string device = "auto";  ///< as given by --device
  std::string dtype = "auto";   ///< as given by --dtype
};

struct Finding {
  bool needed;  ///< something is missing; else it is good to know
  std::string what;
  std::string advice;  ///< empty: nothing to do
};

/// In order of weight: what is missing first. Pure: the same input gives the same findings.
std::vector<Finding> examine(const DoctorInput& input);

/// What runs fast here and what does not, a line each: name and verdict.
std::vector<std::pair<std::string, std::string>> speeds(const DoctorInput& input);

/// The dtype that "auto" means on this host: "bfloat16" or "float32".
std::string automatic_dtype(const TorchHost& torch);

}  // namespace safetylock::cli
