#include "bake/output_stage.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/folder.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kCopyBytes = std::uint64_t{8} << 20;

[[noreturn]] void fail_write(const std::string& label, const char* step, int code) {
  throw Error({"io.write", label, step, "to succeed", std::strerror(code), "Nothing was left behind"});
}

void sync_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);  // not every file system can
  ::close(fd);
}

void remove_tree(const std::string& path) noexcept {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

// A folder opened and locked, or -1 where another process holds it.
int lock_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

void remove_abandoned(const std::string& parent, const std::string& prefix) {
  for (const std::string& name : names_in(parent)) {
    if (!name.starts_with(prefix)) continue;
    const std::string path = join_path(parent, name);
    const int fd = lock_folder(path);
    if (fd < 0) continue;
    remove_tree(path);
    ::close(fd);
  }
}

mode_t permissions(mode_t all) {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return all & ~mask;
}

}  // namespace

StagedFile::StagedFile(const std::string& path, std::string label)
    : path_(path),
      label_(std::move(label)),
      fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (fd_ < 0) fail_write(label_, "creating it", errno);
}

StagedFile::~StagedFile() {
  if (fd_ >= 0) ::close(fd_);
}

void StagedFile::write(std::span<const std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
    if (n < 0) {
      if (errno == EINTR) continue;
      fail_write(label_, "writing", errno);
    }
    done += static_cast<size_t>(n);
  }
  size_ += bytes.size();
}

void StagedFile::write(std::string_view bytes) {
  write(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

void StagedFile::finish() {
  if (::fsync(fd_) != 0) fail_write(label_, "fsync", errno);
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0) fail_write(label_, "closing", errno);
}

OutputStage::OutputStage(const std::string& output, Kind kind) : output_(output) {
  while (output_.size() > 1 && output_.back() == '/') output_.pop_back();
  const size_t slash = output_.rfind('/');
  parent_ = slash == std::string::npos ? "." : slash == 0 ? "/" : output_.substr(0, slash);
  name_ = slash == std::string::npos ? output_ : output_.substr(slash + 1);
  const std::string printable = escape_untrusted(output_, 1000);
  const auto refuse = [&](const std::string& found) {
    throw Error({"arg.output", printable, "output",
                 kind == Kind::folder ? "a folder that does not exist yet, or is empty"
                                      : "a file that does not exist yet",
                 found, "Nothing is ever overwritten: choose another name, or remove it"});
  };
  if (name_.empty() || name_ == "." || name_ == ".." || output.find('\0') != std::string::npos)
    refuse("\"" + printable + "\"");
  if (exists(output_)) {
    if (kind == Kind::file || !is_directory(output_)) refuse("something of this name");
    if (!names_in(output_).empty()) refuse("a folder with something in it");
  }
  if (!is_directory(parent_))
    throw Error({"arg.output", printable, "output", "a place in an existing folder", "no such folder", ""});
  const std::string prefix = "." + name_ + ".baking-";
  remove_abandoned(parent_, prefix);
  stage_ = join_path(parent_, prefix + "XXXXXX");
  if (::mkdtemp(stage_.data()) == nullptr) {
    stage_.clear();
    fail_write(printable, "creating a temporary folder beside it", errno);
  }
  lock_ = lock_folder(stage_);
  ::chmod(stage_.c_str(), permissions(0777));
}

OutputStage::~OutputStage() {
  if (!stage_.empty()) remove_tree(stage_);
  if (lock_ >= 0) ::close(lock_);
}

std::string OutputStage::label(std::string_view name) const {
  return escape_untrusted(join_path(output_, name), 1000);
}

void OutputStage::make_folder(std::string_view name) const {
  if (::mkdir(path(name).c_str(), 0777) != 0) fail_write(label(name), "creating it", errno);
}

void OutputStage::write(std::string_view name, std::string_view bytes) {
  StagedFile file(path(name), label(name));
  file.write(bytes);
  file.finish();
  bytes_written_ += file.size();
}

void OutputStage::copy(const InputFile& source, std::string_view name, const Check& check) {
  StagedFile file(path(name), label(name));
  std::vector<std::byte> piece;
  for (std::uint64_t done = 0; done < source.size(); done += piece.size()) {
    if (check) check();
    piece.resize(std::min(kCopyBytes, source.size() - done));
    source.read_at(done, piece);
    file.write(piece);
  }
  source.check_unchanged();
  file.finish();
  bytes_written_ += file.size();
}

std::string OutputStage::share(const InputFile& source, const std::string& source_path, std::string_view name,
                               bool always_copy, const Check& check) {
  const std::string from = resolved_path(source_path), to = path(name);
  if (!always_copy && !from.empty()) {
    const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
    const int out = in < 0 ? -1 : ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const bool cloned = out >= 0 && ::ioctl(out, FICLONE, in) == 0;
    if (in >= 0) ::close(in);
    if (out >= 0) ::close(out);
    if (!cloned && out >= 0) ::unlink(to.c_str());
    const bool linked = !cloned && ::link(from.c_str(), to.c_str()) == 0;
    if (cloned || linked) {
      source.check_unchanged();
      bytes_shared_ += source.size();
      return cloned ? "reflink" : "hard link";
    }
  }
  copy(source, name, check);
  return "copy";
}

void OutputStage::commit() {
  sync_folder(stage_);
  if (::rename(stage_.c_str(), output_.c_str()) != 0)
    fail_write(escape_untrusted(output_, 1000), "renaming to it", errno);
  stage_.clear();
  sync_folder(parent_);
}

void OutputStage::commit_file(const std::vector<std::string>& beside) {
  for (const std::string& name : beside) {
    const std::string to = join_path(parent_, name);
    if (::rename(path(name).c_str(), to.c_str()) != 0)
      fail_write(escape_untrusted(to, 1000), "renaming to it", errno);
  }
  if (::rename(path(name_).c_str(), output_.c_str()) != 0)
    fail_write(escape_untrusted(output_, 1000), "renaming to it", errno);
  sync_folder(parent_);
}

}  // namespace safetylock
