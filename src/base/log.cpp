#include "base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>

namespace safetylock {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

LogLevel from_spdlog(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return LogLevel::debug;
    case spdlog::level::info:
      return LogLevel::info;
    case spdlog::level::warn:
      return LogLevel::warning;
    default:
      return LogLevel::error;
  }
}

class CallbackSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit CallbackSink(LogSink callback) : callback_(std::move(callback)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    callback_(from_spdlog(msg.level), std::string_view(msg.payload.data(), msg.payload.size()));
  }
  void flush_() override {}

 private:
  LogSink callback_;
};

// The logger is replaced, never mutated, so a thread that is logging keeps the one it took.
std::mutex g_mutex;
std::shared_ptr<spdlog::logger> g_logger;

std::shared_ptr<spdlog::logger> current() {
  const std::lock_guard<std::mutex> guard(g_mutex);
  return g_logger;
}

void install(LogLevel level, spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("safetylock", std::move(sink));
  logger->set_level(to_spdlog(level));
  logger->flush_on(spdlog::level::debug);
  const std::lock_guard<std::mutex> guard(g_mutex);
  g_logger = std::move(logger);
}

}  // namespace

void set_log_sink(LogLevel level, LogSink sink) {
  if (!sink) {
    const std::lock_guard<std::mutex> guard(g_mutex);
    g_logger = nullptr;
    return;
  }
  install(level, std::make_shared<CallbackSink>(std::move(sink)));
}

void log_to_stderr(LogLevel level) {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  sink->set_pattern("%l: %v");
  install(level, std::move(sink));
}

namespace log {

bool enabled(LogLevel level) noexcept {
  const auto logger = current();
  return logger && logger->should_log(to_spdlog(level));
}

void write(LogLevel level, std::string_view message) {
  if (const auto logger = current()) logger->log(to_spdlog(level), message);
}

}  // namespace log
}  // namespace safetylock
