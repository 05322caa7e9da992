// One run of the tool: where results, notes, warnings and progress go.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "safetylock/causal_lm.h"
#include "safetylock/log.h"

namespace safetylock::cli {

struct CommonOptions {
  std::string device = "auto";
  std::string dtype = "auto";
  std::optional<std::int64_t> threads;
  bool json = false;
  bool quiet = false;
  int verbosity = 0;
  ColourMode colour = ColourMode::automatic;
};

class Session {
 public:
  /// Sets the number of threads and the log's sink for the process.
  explicit Session(const CommonOptions& options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  bool json() const noexcept { return options_.json; }
  const std::string& device() const noexcept { return options_.device; }
  const std::string& dtype() const noexcept { return options_.dtype; }
  const Terminal& terminal() const noexcept { return terminal_; }

  /// Shows progress; returns false after Ctrl-C, which stops the step. Must not outlive the session.
  ProgressCallback progress();
  /// A model on the device and in the dtype of the options; `on_config` and `max_memory` as in
  /// LoadOptions.
  CausalLM load_model(const std::string& path, const std::string& adapter = {},
                      std::function<void(const ModelConfig&)> on_config = {}, std::uint64_t max_memory = 0);

  void print(std::string_view text);                 ///< results, on standard output
  void flush();                                      ///< throws io.write unless they could be written
  void note(std::string_view text);                  ///< a line on standard error, not with --quiet
  void warn(std::string_view text);                  ///< a line on standard error
  void say(std::string_view text);                   ///< the same without a mark: what was asked for
  std::string heading(std::string_view text) const;  ///< as results are headed

 private:
  void log(LogLevel level, std::string_view message);

  CommonOptions options_;
  Terminal terminal_;
  ProgressBar bar_;
};

}  // namespace safetylock::cli
