// Names what a file seems to be when it is not what was asked for: a web page, a git-lfs pointer, an archive
// ...
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"

namespace safetylock {

/// "an HTML page" ... from the first bytes of a file; empty when nothing known.
std::string guess_format(std::string_view head);

/// Throws Error io.wrong_format when the first bytes of `file` are those of a known format other than
/// `wanted`
/// ("GGUF", "safetensors"); returns when they tell nothing.
void refuse_other_format(const InputFile& file, const std::string& wanted);

}  // namespace safetylock
