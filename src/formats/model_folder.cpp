#include "formats/model_folder.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/folder.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kMaxRevisionBytes = 256;
constexpr const char* kSnapshots = "snapshots";
constexpr std::string_view kInSnapshots = "/snapshots";
constexpr std::string_view kRepositoryPrefix = "models--";

bool is_inside(const std::string& path, const std::string& folder) {
  return path.starts_with(folder) && (folder == "/" || path.substr(folder.size()).starts_with('/'));
}

// The repository in a hub cache that `folder`, a snapshot or a folder in one, belongs to; empty when none.
// No trailing slash.
std::string repository_of(std::string folder) {
  for (size_t slash = folder.rfind('/'); slash != std::string::npos; slash = folder.rfind('/')) {
    folder.resize(slash);
    if (!folder.ends_with(kInSnapshots)) continue;
    folder.resize(folder.size() - kInSnapshots.size());
    return folder;
  }
  return {};
}

// `file` was opened by following links. Compares it with the file at the place where the links end, so that
// what was checked is what will be read.
void check_links(const std::string& folder, const std::string& name, const InputFile& file) {
  const std::string home = resolved_path(folder.empty() ? "." : folder);
  const std::string target = resolved_path(join_path(folder, name));
  if (!home.empty() && !target.empty()) {
    const std::string repository = repository_of(home);
    const std::string target_folder = target.substr(0, target.rfind('/'));
    const bool in_place =
        is_inside(target, home) || (!repository.empty() && target_folder == repository + "/blobs");
    if (in_place && identity_of(target) == file.identity()) return;
  }
  throw Error({"io.link", file.path(), escape_untrusted(name),
               "a file of the model's folder, or of its repository in a hub cache",
               "a link to \"" + escape_untrusted(target, 1000) + "\"",
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
  const std::string folder = join_path(repository, kSnapshots);
  std::vector<std::string> names = names_in(folder);
  std::erase_if(names, [&](const std::string& name) { return !is_directory(join_path(folder, name)); });
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
  std::filesystem::path folder = std::filesystem::path(path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // a trailing slash
  const std::string repository = base_name(repository_of(folder.string()));
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
