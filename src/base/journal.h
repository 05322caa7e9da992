// Finished work kept in a file, so that a run that is cut off goes on where it stopped.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/json.h"

namespace safetylock {

/// A file of JSON lines: first what the work is about, then one finished step a line. Each line is on disk
/// before `step` returns, so kill -9 loses only the step in hand.
///
/// Thread rule: one thread at a time; one process at a time, which is checked.
class Journal {
 public:
  /// Opens `path` or begins it. `subject` holds all that decides the results: an object. Throws arg.resume
  /// when the file is about something else (naming the keys that differ), journal.damaged for a file that is
  /// no journal (a torn last line is dropped), run.busy when another process has it, io.write.
  Journal(const std::string& path, const Json& subject);
  ~Journal();  ///< a journal without a finished step goes with it
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  bool has(const std::string& key) const { return steps_.contains(key); }
  size_t size() const noexcept { return steps_.size(); }  ///< steps finished
  /// The result of step `key`: as it was kept, else of `work`, which is kept. Throws io.write and what `work`
  /// throws.
  const Json& step(const std::string& key, const std::function<Json()>& work);
  /// The work is done and its result safe elsewhere.
  void remove() noexcept;

 private:
  void begin(const Json& subject);
  void read(const std::string& text, const Json& subject);
  void append(const std::string& line);
  [[noreturn]] void fail_write() const;

  std::string path_;
  int fd_ = -1;
  std::map<std::string, Json> steps_;
};

}  // namespace safetylock
