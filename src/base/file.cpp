#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/folder.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

std::string errno_text(int code) {
  return std::strerror(code);
}

void check_path(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw Error(
        {"arg.path", "", "path", "a path without NUL bytes", "\"" + escape_untrusted(path) + "\"", ""});
  }
}

std::int64_t mtime_ns(const struct stat& st) {
  return static_cast<std::int64_t>(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec;
}

FileIdentity identity_in(const struct stat& st) {
  return {static_cast<std::uint64_t>(st.st_dev), static_cast<std::uint64_t>(st.st_ino)};
}

[[noreturn]] void fail_write(const std::string& path, const char* step, int code) {
  throw Error({"io.write", escape_untrusted(path, 1000), step, "to succeed", errno_text(code),
               "The old file, if there was one, is unchanged"});
}

// Closes and removes a temporary file unless it was handed over.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& final_path) : path_(final_path + ".tmp-XXXXXX") {
    fd_ = ::mkostemp(path_.data(), O_CLOEXEC);
    if (fd_ < 0) fail_write(final_path, "creating a temporary file beside it", errno);
  }
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  int close() {
    const int rc = ::close(fd_);
    fd_ = -1;
    return rc;
  }
  void release() { path_.clear(); }

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace

class InputFile::Descriptor {
 public:
  // Non-blocking, so that a FIFO cannot hang the open; the descriptor, not the path, is then examined.
  Descriptor(const std::string& path, const std::string& label)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ >= 0) return;
    const int code = errno;
    std::string hint = "Check the path and its permissions";
    if (code == ENXIO) {  // of a socket
      throw Error({"io.not_regular", label, "", "a regular file", "a device, socket or pipe", ""});
    }
    if (code == EMFILE || code == ENFILE) hint = "Close other files or raise the limit (ulimit -n)";
    throw Error({"io.open", label, "open", "a readable file", errno_text(code), std::move(hint)});
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

InputFile::InputFile(const std::string& path, Hold hold) : path_(escape_untrusted(path, 1000)) {
  check_path(path);
  Descriptor descriptor(path, path_);
  state_ = state_of(descriptor.get(), path_);
  if (state_.size == 0) throw Error({"io.empty", path_, "", "at least 1 byte", "0 bytes", ""});
  if (hold == Hold::open) {
    fd_ = descriptor.release();
  } else {
    location_ = absolute_path(path);
  }
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(InputFile&& other) noexcept {
  *this = std::move(other);
}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    path_ = std::move(other.path_);
    location_ = std::move(other.location_);
    fd_ = std::exchange(other.fd_, -1);
    state_ = other.state_;
  }
  return *this;
}

InputFile::State InputFile::state_of(int fd, const std::string& label) {
  struct stat st {};
  if (::fstat(fd, &st) != 0)
    throw Error({"io.open", label, "fstat", "a readable file", errno_text(errno), ""});
  if (!S_ISREG(st.st_mode)) {
    throw Error({"io.not_regular", label, "", "a regular file",
                 S_ISDIR(st.st_mode) ? "a folder" : "a device, socket or pipe", ""});
  }
  return {identity_in(st), static_cast<std::uint64_t>(st.st_size), mtime_ns(st)};
}

void InputFile::check_state(const State& now) const {
  if (now == state_) return;
  throw Error({"io.changed", path_, "", "a file that stays as it is while being read",
               now.identity == state_.identity ? "its size or modification time changed" : "another file",
               "Run again when nothing writes to it"});
}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::optional<Descriptor> reopened;
  if (fd_ < 0) {
    reopened.emplace(location_, path_);
    check_state(state_of(reopened->get(), path_));
  }
  const int fd = reopened ? reopened->get() : fd_;
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      throw Error(
          {"io.read", path_, "offset " + std::to_string(offset + done), "to read", errno_text(errno), ""});
    }
    if (n == 0) {
      throw Error({"io.truncated", path_, "offset " + std::to_string(offset),
                   std::to_string(out.size()) + " bytes", std::to_string(done) + " bytes",
                   "The file is cut short or shrank while being read; fetch it again"});
    }
    done += static_cast<size_t>(n);
  }
}

void InputFile::check_unchanged() const {
  if (fd_ >= 0) return check_state(state_of(fd_, path_));
  check_state(state_of(Descriptor(location_, path_).get(), path_));
}

std::string read_file(const std::string& path, std::uint64_t max_bytes) {
  return read_file(InputFile(path), max_bytes);
}

std::string read_file(const InputFile& file, std::uint64_t max_bytes) {
  if (file.size() > max_bytes) {
    throw Error({"limit.file_size", file.path(), "", "at most " + std::to_string(max_bytes) + " bytes",
                 std::to_string(file.size()) + " bytes", ""});
  }
  std::string bytes(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  file.check_unchanged();
  return bytes;
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  check_path(path);
  if (is_directory(path)) fail_write(path, "replacing it", EISDIR);
  // Now, while nothing has happened: after the rename nothing may fail any more.
  const size_t slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  TemporaryFile temporary(path);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(temporary.fd(), bytes.data() + done, bytes.size() - done);
    if (n < 0) {
      if (errno == EINTR) continue;
      fail_write(path, "writing", errno);
    }
    done += static_cast<size_t>(n);
  }
  // mkostemp creates with 0600; give the file what an ordinary open would have given it.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(temporary.fd(), 0666 & ~mask) != 0) fail_write(path, "setting permissions", errno);
  if (::fsync(temporary.fd()) != 0) fail_write(path, "fsync", errno);
  if (temporary.close() != 0) fail_write(path, "closing", errno);
  if (::rename(temporary.path().c_str(), path.c_str()) != 0) fail_write(path, "renaming over it", errno);
  temporary.release();
  const int dir = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir >= 0) {
    ::fsync(dir);  // Durability of the rename itself; not every file system supports it, so its failure is no
                   // error.
    ::close(dir);
  }
}

bool is_regular_file(const std::string& path) noexcept {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
}

bool is_directory(const std::string& path) noexcept {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

bool exists(const std::string& path) noexcept {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

std::optional<FileIdentity> identity_of(const std::string& path) noexcept {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return std::nullopt;
  return identity_in(st);
}

std::string join_path(std::string_view folder, std::string_view name) {
  std::string out(folder);
  if (!out.empty() && out.back() != '/') out += '/';
  return out + std::string(name);
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.find_last_of('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

}  // namespace safetylock
