// printf into a string. (Not fmt: libtorch's headers bring a version of it that Debian's library does not
// fit.)
#pragma once

#include <string>

namespace safetylock::cli {

[[gnu::format(printf, 1, 2)]] std::string text_format(const char* pattern, ...);

}  // namespace safetylock::cli
