// The folder a model lies in: plain, or a snapshot in a hub cache, whose files are links into its
// repository:
//   models--ORG--NAME/refs/main                   a revision
//   models--ORG--NAME/snapshots/REVISION/NAME  -> ../../blobs/HASH
#pragma once

#include <cstdint>
#include <string>

#include "base/file.h"

namespace safetylock {

/// `path`; for the folder of a repository in a hub cache, its snapshot: the one refs/main names, else the
/// only one. Throws Error hub.revision when there is no such snapshot or there are several, with their names.
std::string resolve_model_path(const std::string& path);

/// What people call the model at `path`: the last part of it, or ORG/NAME for a snapshot of a hub cache.
std::string model_name(const std::string& path);

/// Whether the folder has anything of this name, be it a link to nothing: opening that is an error, so that a
/// file is never passed over because it is broken.
bool has_model_file(const std::string& folder, const std::string& name);

/// Opens `name`, which may contain folders. A link may lead to another file of the folder or, in a hub cache,
/// to a blob of the same repository; one that leads elsewhere would let a downloaded folder read any file of
/// this machine. Throws Error io.link, and what InputFile throws.
InputFile open_model_file(const std::string& folder, const std::string& name,
                          InputFile::Hold hold = InputFile::Hold::open);

/// All bytes of such a file. Throws also limit.file_size.
std::string read_model_file(const std::string& folder, const std::string& name, std::uint64_t max_bytes);

}  // namespace safetylock
