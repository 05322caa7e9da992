// What the readers of a GGUF file's metadata have in common.
#pragma once

#include <string>
#include <string_view>

#include "formats/gguf.h"
#include "safetylock/error.h"

namespace safetylock {

/// Keys without the architecture in front of them: "block_count" is "llama.block_count".
class GgufReader {
 protected:
  explicit GgufReader(const GgufFile& file) : file_(file), arch_(file.architecture()) {}

  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, file_.path(), where, expected, found, hint});
  }
  std::string key(std::string_view name) const { return arch_ + "." + std::string(name); }
  bool has(std::string_view name) const { return file_.has(key(name)); }
  std::int64_t integer(std::string_view name, std::int64_t limit) const {
    return file_.integer(key(name), 0, limit);
  }

  const GgufFile& file_;
  const std::string arch_;
};

}  // namespace safetylock
