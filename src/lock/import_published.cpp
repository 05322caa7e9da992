#include "base/out_of_memory.h"
#include "formats/published_lock.h"
#include "safetylock/error.h"
#include "safetylock/published_lock.h"
#include "safetylock/version.h"

namespace safetylock {
namespace {

LockIdentity imported_identity(const ModelConfig& base, const std::string& name) {
  LockIdentity id = identity_of(base);
  id.base_model = name;
  id.protocol = "paper";
  id.library_version = SAFETYLOCK_VERSION;
  return id;
}

}  // namespace

SafetyLock import_published_lock(const std::string& path, const ModelConfig& base,
                                 const ImportOptions& options) {
  return naming_memory_errors(path, [&] {
    std::vector<HeadDirection> heads;
    for (PublishedHead& head : read_published_lock(path)) {
      heads.push_back({{head.layer, head.head}, std::move(head.direction), head.sigma, 0});
    }
    try {
      return SafetyLock(imported_identity(base, options.base_model), std::move(heads), options.default_alpha,
                        SafetyLock::kDefaultAlphaMax);
    } catch (const Error& error) {
      ErrorFields fields = error.fields();
      fields.file = escape_untrusted(path, 1000);
      if (fields.code == "lock.head" || fields.code == "lock.vector")
        fields.hint = "Was the lock made for this model?";
      throw Error(std::move(fields));
    }
  });
}

}  // namespace safetylock
