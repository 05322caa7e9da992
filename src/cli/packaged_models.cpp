#include "cli/packaged_models.h"

#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"

namespace safetylock::cli {
namespace {

struct Entry {
  const char* name;
  const char* file;
  std::uint64_t bytes;
};

// As in scripts/get_model.py, without what only the tests need; a test compares the two.
constexpr std::array kModels = {
    Entry{"smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", 98'362'432},
    Entry{"qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", 1'117'320'768},
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string cache_folder() {
  if (const std::string cache = variable("SAFETYLOCK_CACHE"); !cache.empty()) return cache;
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return join_path(cache, "safetylock");
  return join_path(variable("HOME"), ".cache/safetylock");
}

std::string models_folder() {
  const std::string folder = variable("SAFETYLOCK_MODELS");
  return folder.empty() ? join_path(cache_folder(), "models") : folder;
}

std::vector<PackagedModel> packaged_models() {
  std::vector<PackagedModel> models;
  for (const Entry& entry : kModels) {
    const std::string path = join_path(models_folder(), entry.file);
    std::error_code missing;
    const std::uintmax_t size = std::filesystem::file_size(path, missing);
    const bool whole = !missing && size == entry.bytes;
    models.push_back({.name = entry.name,
                      .path = path,
                      .bytes = entry.bytes,
                      .present = whole,
                      .damaged = !missing && !whole});
  }
  return models;
}

}  // namespace safetylock::cli
