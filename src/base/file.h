// Files: opened once, read with pread through one descriptor, written by temporary file + rename.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

/// A regular file opened for reading. Move-only; closes in the destructor. `read_at` may be called from any
/// thread.
class InputFile {
 public:
  /// Throws Error io.open (missing, no permission: errno text), io.not_regular (folder, FIFO, device),
  /// io.empty, arg.path (NUL in the path).
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const noexcept { return path_; }
  std::uint64_t size() const noexcept { return size_; }

  /// Fills `out` from `offset`. Throws io.truncated (offset, bytes needed, bytes present) or io.read.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

  /// Throws io.changed when the file's size or modification time is no longer what it was at opening.
  void check_unchanged() const;

 private:
  std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::int64_t mtime_ns_ = 0;
};

/// Whole file as bytes. Throws as InputFile, and limit.file_size above `max_bytes`.
std::string read_file(const std::string& path, std::uint64_t max_bytes);

/// Replaces `path` by `bytes` or leaves it as it was: temporary file in the same folder, fsync, rename, fsync
/// folder. Throws io.write with errno text.
void write_file_atomically(const std::string& path, std::string_view bytes);

bool is_regular_file(const std::string& path) noexcept;
bool is_directory(const std::string& path) noexcept;
std::string join_path(std::string_view folder, std::string_view name);
std::string base_name(std::string_view path);

}  // namespace safetylock
