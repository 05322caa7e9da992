// A reply on standard output while it is being generated.
#pragma once

#include "cli/session.h"
#include "safetylock/generate.h"

namespace safetylock::cli {

/// Prints what a model writes as it comes, made safe for a terminal. However the reply ends, its line is
/// ended, so that an error stands on a line of its own.
class StreamedReply {
 public:
  explicit StreamedReply(Session& session) : session_(session), waiting_(session.progress()) {}
  ~StreamedReply();
  StreamedReply(const StreamedReply&) = delete;
  StreamedReply& operator=(const StreamedReply&) = delete;

  /// Sets the callbacks of one request's generation; they must not outlive this.
  void attach(GenerateOptions& options);
  /// The reply is complete.
  void end();

 private:
  void write(std::string_view text);
  bool progress(const Progress& progress);

  Session& session_;
  ProgressCallback waiting_;  // shows progress until the text begins: a bar would stand in its line
  bool begun_ = false, line_open_ = false;
};

}  // namespace safetylock::cli
