// The lines of standard input as they are: from a pipe or a file, without prompts.
#pragma once

#include <cstdint>

#include "cli/chat/line_source.h"

namespace safetylock::cli {

class PlainLines : public LineSource {
 public:
  /// Throws Error arg.prompt (invalid UTF-8, a line beyond 1 MiB), io.read, run.interrupted.
  Line read(const Prompt& prompt) override;

 private:
  std::string unread_;
  bool at_end_ = false;
  std::int64_t lines_ = 0;
};

}  // namespace safetylock::cli
