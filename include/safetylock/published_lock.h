// The locks that the paper's authors published (NAME.safelock), as locks of this library.
//
// Thread rule: callable from any thread.
#pragma once

#include <string>

#include "safetylock/lock.h"
#include "safetylock/model_config.h"

namespace safetylock {

struct ImportOptions {
  std::string base_model;      ///< a name for people; decides nothing
  double default_alpha = 6.0;  ///< the authors'
};

/// Reads a .safelock file: a zip archive with a pickle of numpy's numbers, both read as data by our own
/// readers; nothing in it is ever executed. `base`: the model it was made for, which the file does not name.
/// Directions are widened to float32 (float64: rounded) and not renormalised, heads stay in the file's order,
/// scores are 0: the file holds none. Throws Error io.*, zip.*, pkl.*, limit.*, resource.memory; lock.head
/// where a head is outside `base`, lock.vector where a direction is of another length or norm, lock.scale,
/// lock.alpha_range.
SafetyLock import_published_lock(const std::string& path, const ModelConfig& base,
                                 const ImportOptions& options = {});

}  // namespace safetylock
