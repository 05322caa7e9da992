// Lines typed on a terminal, with editing, history and pasted blocks (libedit).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/chat/line_source.h"

namespace safetylock::cli {

/// Reads standard input and draws on standard error, so that standard output holds replies alone. The
/// terminal is in the editor's mode only within read(). What was typed is remembered in memory alone.
class LineEditor : public LineSource {
 public:
  /// `words`: what the tab key completes at the beginning of a line.
  LineEditor(const Terminal& terminal, std::vector<std::string> words);
  ~LineEditor() override;

  Line read(const Prompt& prompt) override;

 private:
  struct Editor;
  const Terminal& terminal_;
  std::unique_ptr<Editor> editor_;
};

}  // namespace safetylock::cli
