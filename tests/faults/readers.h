// Every reader of the core library with a small sound input.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/temporary.h"

namespace safetylock::test {

struct ReaderCase {
  std::string name;
  std::function<void()> read;  ///< throws unless the input can be read
};

/// Writes the inputs into `folder`.
std::vector<ReaderCase> reader_cases(const TemporaryFolder& folder);

}  // namespace safetylock::test
