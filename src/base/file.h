// Files: opened once, read with pread through one descriptor, written by temporary file + rename.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

/// Which file something is, whatever it is called.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};

/// A regular file opened for reading. Move-only; closes in the destructor. `read_at` may be called from any
/// thread.
class InputFile {
 public:
  /// `on_demand` holds no descriptor between reads, for models of many files. Each read then opens the file
  /// again and proves that it is still the same one.
  enum class Hold { open, on_demand };

  /// Throws Error io.open (missing, no permission: errno text), io.not_regular (folder, FIFO, device),
  /// io.empty, arg.path (NUL in the path).
  explicit InputFile(const std::string& path, Hold hold = Hold::open);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const noexcept { return path_; }
  std::uint64_t size() const noexcept { return state_.size; }
  const FileIdentity& identity() const noexcept { return state_.identity; }

  /// Fills `out` from `offset`. Throws io.truncated (offset, bytes needed, bytes present) or io.read; held on
  /// demand also io.open and io.changed.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

  /// Throws io.changed when the file's size or modification time is no longer what it was at opening.
  void check_unchanged() const;

 private:
  struct State {
    FileIdentity identity;
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
    bool operator==(const State&) const = default;
  };
  class Descriptor;

  static State state_of(int fd, const std::string& label);
  void check_state(const State& now) const;

  std::string path_;      ///< escaped, for printing
  std::string location_;  ///< where an on-demand file is opened again
  int fd_ = -1;           ///< -1 when held on demand
  State state_;
};

/// Whole file as bytes. Throws as InputFile, and limit.file_size above `max_bytes`.
std::string read_file(const std::string& path, std::uint64_t max_bytes);
std::string read_file(const InputFile& file, std::uint64_t max_bytes);

/// Replaces `path` by `bytes` or leaves it as it was: temporary file in the same folder, fsync, rename, fsync
/// folder. Throws io.write with errno text.
void write_file_atomically(const std::string& path, std::string_view bytes);

bool is_regular_file(const std::string& path) noexcept;
bool is_directory(const std::string& path) noexcept;
/// Whether there is anything of this name, be it a link to nothing.
bool exists(const std::string& path) noexcept;
/// The file that `path` leads to; nothing when it leads nowhere.
std::optional<FileIdentity> identity_of(const std::string& path) noexcept;
std::string join_path(std::string_view folder, std::string_view name);
std::string base_name(std::string_view path);

}  // namespace safetylock
