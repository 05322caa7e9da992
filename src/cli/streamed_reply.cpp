#include "cli/streamed_reply.h"

#include <cstdio>

#include "cli/interrupt.h"
#include "cli/printable.h"

namespace safetylock::cli {

StreamedReply::~StreamedReply() {
  if (!line_open_) return;
  session_.print("\n");
  std::fflush(stdout);  // a failure has been reported, or will be
}

void StreamedReply::attach(GenerateOptions& options) {
  options.on_text = [this](size_t, std::string_view text) { write(text); };
  options.on_progress = [this](const Progress& p) { return progress(p); };
}

void StreamedReply::end() {
  session_.print("\n");
  line_open_ = false;
  session_.flush();
}

void StreamedReply::write(std::string_view text) {
  begun_ = true;
  line_open_ = !text.ends_with('\n');
  session_.print(printable(text));
  session_.flush();
}

bool StreamedReply::progress(const Progress& progress) {
  return begun_ ? !interrupted() : waiting_(progress);
}

}  // namespace safetylock::cli
