#include "base/versions.h"

#include <openssl/crypto.h>
#include <spdlog/version.h>
#include <utf8proc.h>

#include <nlohmann/json.hpp>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace safetylock {
namespace {

std::string dotted(int major, int minor, int patch) {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

/// "10.42 2022-12-11": the version without its date.
std::string pcre2_version() {
  char text[64] = "";
  pcre2_config(PCRE2_CONFIG_VERSION, text);
  const std::string whole = text;
  return whole.substr(0, whole.find(' '));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> core_versions() {
  return {{"compiler", compiler()},
          {"nlohmann_json",
           dotted(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
          {"spdlog", dotted(SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)},
          {"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING)},
          {"PCRE2", pcre2_version()},
          {"utf8proc", utf8proc_version()}};
}

}  // namespace safetylock
