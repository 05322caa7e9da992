// Where the lines of a chat come from: a terminal or a pipe.
#pragma once

#include <string>

#include "cli/terminal.h"

namespace safetylock::cli {

struct Prompt {
  std::string text;
  Style style;
};

enum class LineEnd {
  entered,
  cancelled,    ///< by Ctrl-C
  end_of_input  ///< Ctrl-D, or nothing follows
};

struct Line {
  LineEnd end;
  std::string
      text;  ///< valid UTF-8 without its newline, but it may hold others; if cancelled, what was there
};

class LineSource {
 public:
  LineSource() = default;
  LineSource(const LineSource&) = delete;
  LineSource& operator=(const LineSource&) = delete;
  virtual ~LineSource() = default;

  virtual Line read(const Prompt& prompt) = 0;
};

}  // namespace safetylock::cli
