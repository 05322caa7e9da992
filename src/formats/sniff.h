// Names what a file seems to be when it is not what was asked for: a web page, a git-lfs pointer, an archive
// ...
#pragma once

#include <string>
#include <string_view>

namespace safetylock {

/// Throws Error io.wrong_format when `head`, the first bytes of `file`, are those of a known format other
/// than `wanted`
/// ("GGUF", "safetensors"); returns when they tell nothing. For use once the file is known not to be what it
/// should be.
void refuse_other_format(std::string_view head, const std::string& file, const std::string& wanted);

/// As many first bytes as `refuse_other_format` can use.
constexpr size_t kSniffBytes = 64;

}  // namespace safetylock
