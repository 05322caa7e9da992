#include "formats/base_config.h"

#include "base/file.h"
#include "base/folder.h"
#include "formats/checkpoint.h"
#include "formats/hf_config.h"
#include "formats/model_folder.h"

namespace safetylock {
namespace {

constexpr std::string_view kConfig = "config.json";

/// The folder of a config.json that was named itself; else `path`.
std::string model_of(const std::string& path) {
  if (base_name(path) != kConfig || is_directory(path)) return resolve_model_path(path);
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace

ModelConfig read_base_config(const std::string& path) {
  const std::string model = model_of(path);
  return is_directory(model) ? read_hf_config(model) : Checkpoint::open(model)->config();
}

std::string base_config_name(const std::string& path) {
  return model_name(base_name(path) == kConfig ? resolved_path(model_of(path)) : path);
}

}  // namespace safetylock
