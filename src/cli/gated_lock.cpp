#include "cli/gated_lock.h"

#include "safetylock/error.h"

namespace safetylock::cli {

SafetyLock load_gated_lock(const std::string& path, const std::string& option) {
  SafetyLock lock = SafetyLock::load(path);
  if (lock.gate()) return lock;
  throw Error({.code = "arg.gate",
               .file = escape_untrusted(path, 1000),
               .where = option,
               .expected = "a lock with a gate",
               .found = "one that acts on every request",
               .hint = "extract --gate makes one"});
}

}  // namespace safetylock::cli
