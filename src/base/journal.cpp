#include "base/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr mode_t kMode = 0644;
constexpr const char* kBeginAnew = "Delete it to begin anew";

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string read_all(int fd) {
  std::string text;
  std::string part(1 << 16, '\0');
  for (ssize_t n = 0;;) {
    n = ::pread(fd, part.data(), part.size(), static_cast<off_t>(text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(part, 0, static_cast<size_t>(n));
  }
}

/// The keys in which two objects differ.
std::string differences(const Json& a, const Json& b) {
  std::string keys;
  const auto add = [&](const std::string& key) {
    keys += (keys.empty() ? "" : ", ") + escape_untrusted(key, 40);
  };
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key) || b.at(key) != value) add(key);
  }
  for (const auto& [key, value] : b.items()) {
    if (!a.contains(key)) add(key);
  }
  return keys;
}

}  // namespace

Journal::Journal(const std::string& path, const Json& subject) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, kMode);
  if (fd_ < 0) fail_write();
  try {
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      throw Error({.code = "run.busy",
                   .file = escape_untrusted(path_, 1000),
                   .where = {},
                   .expected = "a journal that no other process writes",
                   .found = std::strerror(errno)});
    }
    const std::string text = read_all(fd_);
    if (text.find('\n') == std::string::npos) {
      begin(subject);  // empty, or torn before its first line was whole
    } else {
      read(text, subject);
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

Journal::~Journal() {
  if (steps_.empty()) remove();
  ::close(fd_);
}

void Journal::begin(const Json& subject) {
  if (::ftruncate(fd_, 0) != 0) fail_write();
  append(line_of({{"subject", subject}}));
}

void Journal::read(const std::string& text, const Json& subject) {
  size_t number = 0, end_of_whole = 0;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // torn
    const std::string where = "line " + std::to_string(number + 1);
    const auto damaged = [&](std::string expected, std::string found) {
      throw Error({.code = "journal.damaged",
                   .file = escape_untrusted(path_, 1000),
                   .where = where,
                   .expected = std::move(expected),
                   .found = std::move(found),
                   .hint = kBeginAnew});
    };
    Json line;
    try {
      line = parse_json(std::string_view(text).substr(begin, end - begin), path_);
    } catch (const Error& error) {
      damaged("JSON", error.fields().code);
    }
    const char* key = number == 0 ? "subject" : "step";
    if (!line.is_object() || !line.contains(key))
      damaged("\"" + std::string(key) + "\"", describe_json(line));
    if (number == 0) {
      const Json& held = line["subject"];
      if (!held.is_object()) damaged("an object", describe_json(held));
      if (const std::string keys = differences(subject, held); !keys.empty()) {
        throw Error({.code = "arg.resume",
                     .file = escape_untrusted(path_, 1000),
                     .where = {},
                     .expected = "the inputs and settings that the unfinished run had",
                     .found = "others: " + keys,
                     .hint = "Repeat its command to go on with it. " + std::string(kBeginAnew)});
      }
    } else {
      if (!line["step"].is_string() || !line.contains("result")) damaged("a step with its result", "none");
      steps_[line["step"].get<std::string>()] = line["result"];
    }
    begin = end_of_whole = end + 1;
  }
  if (end_of_whole < text.size() && ::ftruncate(fd_, static_cast<off_t>(end_of_whole)) != 0) fail_write();
}

const Json& Journal::step(const std::string& key, const std::function<Json()>& work) {
  if (const auto found = steps_.find(key); found != steps_.end()) return found->second;
  Json result = work();
  append(line_of({{"step", key}, {"result", result}}));
  return steps_.emplace(key, std::move(result)).first->second;
}

void Journal::append(const std::string& line) {
  struct stat before {};
  if (::fstat(fd_, &before) != 0) fail_write();
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = ::write(fd_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int code = errno;
      // A torn line would be dropped by the next run as well.
      [[maybe_unused]] const int cut = ::ftruncate(fd_, before.st_size);
      errno = code;
      fail_write();
    }
    done += static_cast<size_t>(n);
  }
  if (::fdatasync(fd_) != 0) fail_write();
}

void Journal::remove() noexcept {
  ::unlink(path_.c_str());
}

void Journal::fail_write() const {
  throw Error({.code = "io.write",
               .file = escape_untrusted(path_, 1000),
               .where = {},
               .expected = "a journal that can be written",
               .found = std::strerror(errno)});
}

}  // namespace safetylock
