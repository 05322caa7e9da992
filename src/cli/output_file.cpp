#include "cli/output_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "safetylock/error.h"

namespace safetylock::cli {

void check_can_write(const std::string& path) {
  const auto refuse = [&](int code) {
    throw Error({.code = "io.write",
                 .file = escape_untrusted(path, 1000),
                 .expected = "a place where a file can be written",
                 .found = std::strerror(code)});
  };
  if (is_directory(path)) refuse(EISDIR);
  const size_t slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (::access(folder.c_str(), W_OK) != 0) refuse(errno);
}

}  // namespace safetylock::cli
