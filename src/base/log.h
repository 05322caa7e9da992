// Internal logging facade: formats with fmt (as bundled by spdlog) and hands lines to the installed sink.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <string_view>
#include <utility>

#include "safetylock/log.h"

namespace safetylock::log {

void write(LogLevel level, std::string_view message);
bool enabled(LogLevel level) noexcept;

template <typename... Args>
void debug(fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(LogLevel::debug)) write(LogLevel::debug, fmt::format(text, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(LogLevel::info)) write(LogLevel::info, fmt::format(text, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(LogLevel::warning)) write(LogLevel::warning, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace safetylock::log
