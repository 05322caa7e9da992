// Where the library's messages go. By default nothing is printed: a library must not write to its host's
// terminal.
//
// Thread rule: all functions may be called from any thread.
#pragma once

#include <functional>
#include <string_view>

namespace safetylock {

enum class LogLevel { debug, info, warning, error, off };

/// Receives every message at or above the level. Must not throw; may be called from several threads at once.
using LogSink = std::function<void(LogLevel, std::string_view message)>;

/// Installs `sink` for messages at or above `level`; an empty sink silences the library.
void set_log_sink(LogLevel level, LogSink sink);

/// Installs a sink that writes "level: message" lines to standard error.
void log_to_stderr(LogLevel level);

}  // namespace safetylock
