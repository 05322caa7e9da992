#include "formats/model_folder.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "safetylock/error.h"

namespace safetylock {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxRevisionBytes = 256;
constexpr const char* kSnapshots = "snapshots";
constexpr std::string_view kRepositoryPrefix = "models--";

bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto [end_of_folder, unused] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end_of_folder == folder.end();
}

// The repository in a hub cache that `folder`, a snapshot or a folder in one, belongs to; empty when none.
fs::path repository_of(fs::path folder) {
  for (; folder.has_relative_path(); folder = folder.parent_path()) {
    if (folder.parent_path().filename() == kSnapshots) return folder.parent_path().parent_path();
  }
  return {};
}

// `file` was opened by following links. Compares it with the file at the place where the links end, so that
// what was checked is what will be read.
void check_links(const std::string& folder, const std::string& name, const InputFile& file) {
  std::error_code failed;
  const fs::path home = fs::canonical(folder.empty() ? "." : folder, failed);
  const fs::path target = failed ? fs::path() : fs::canonical(fs::path(folder) / name, failed);
  if (!failed) {
    const fs::path repository = repository_of(home);
    const bool in_place =
        is_inside(target, home) || (!repository.empty() && target.parent_path() == repository / "blobs");
    if (in_place && identity_of(target.string()) == file.identity()) return;
  }
  throw Error({"io.link", file.path(), escape_untrusted(name),
               "a file of the model's folder, or of its repository in a hub cache",
               "a link to \"" + escape_untrusted(target.string(), 1000) + "\"",
               "Put the file itself in the folder in place of the link"});
}

bool is_revision(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !text.empty() && text.front() != '.' && std::all_of(text.begin(), text.end(), plain);
}

std::vector<std::string> snapshots_of(const std::string& repository) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(join_path(repository, kSnapshots), ignored)) {
    if (is_directory(entry.path().string())) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

[[noreturn]] void fail_revision(const std::string& repository, const std::string& where,
                                const std::string& expected, const std::string& found) {
  std::string hint = "Fetch the model again";
  const std::vector<std::string> names = snapshots_of(repository);
  for (size_t i = 0; i < names.size() && i < 8; ++i) {
    hint = (i == 0 ? "Give the folder of a snapshot: " : hint + ", ") +
           escape_untrusted(join_path(join_path(repository, kSnapshots), names[i]), 1000);
  }
  throw Error({"hub.revision", escape_untrusted(repository, 1000), where, expected, found, hint});
}

std::string snapshot_of(const std::string& repository) {
  const std::string kRef = "refs/main";
  if (!has_model_file(repository, kRef)) {
    const std::vector<std::string> names = snapshots_of(repository);
    if (names.size() != 1) {
      fail_revision(repository, kSnapshots, "refs/main, or one snapshot",
                    "no refs/main and " + std::to_string(names.size()) + " snapshots");
    }
    return names.front();
  }
  std::string revision = read_model_file(repository, kRef, kMaxRevisionBytes);
  while (!revision.empty() && (revision.back() == '\n' || revision.back() == '\r')) revision.pop_back();
  if (!is_revision(revision)) {
    fail_revision(repository, kRef, "a revision", "\"" + escape_untrusted(revision) + "\"");
  }
  if (!is_directory(join_path(join_path(repository, kSnapshots), revision))) {
    fail_revision(repository, kRef, "the name of a snapshot", "\"" + revision + "\", which is not there");
  }
  return revision;
}

}  // namespace

std::string resolve_model_path(const std::string& path) {
  const bool repository = is_directory(join_path(path, kSnapshots)) && !has_model_file(path, "config.json") &&
                          !has_model_file(path, "adapter_config.json");
  return repository ? join_path(join_path(path, kSnapshots), snapshot_of(path)) : path;
}

std::string model_name(const std::string& path) {
  fs::path folder = fs::path(path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // a trailing slash
  const std::string repository = repository_of(folder).filename().string();
  if (!repository.starts_with(kRepositoryPrefix)) return base_name(path);
  std::string name = repository.substr(kRepositoryPrefix.size());
  if (const size_t dashes = name.find("--"); dashes != std::string::npos) name.replace(dashes, 2, "/");
  return name;
}

bool has_model_file(const std::string& folder, const std::string& name) {
  return exists(join_path(folder, name));
}

InputFile open_model_file(const std::string& folder, const std::string& name, InputFile::Hold hold) {
  InputFile file(join_path(folder, name), hold);
  check_links(folder, name, file);
  return file;
}

std::string read_model_file(const std::string& folder, const std::string& name, std::uint64_t max_bytes) {
  return read_file(open_model_file(folder, name), max_bytes);
}

}  // namespace safetylock
