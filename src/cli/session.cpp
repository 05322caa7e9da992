#include "cli/session.h"

#include <ATen/Parallel.h>

#include <cstdio>

#include "cli/interrupt.h"
#include "cli/printable.h"
#include "safetylock/error.h"
#include "safetylock/log.h"

namespace safetylock::cli {
namespace {

void write_stderr(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

LogLevel log_level(const CommonOptions& options) {
  if (options.verbosity >= 2) return LogLevel::debug;
  if (options.verbosity == 1) return LogLevel::info;
  return LogLevel::warning;
}

}  // namespace

Session::Session(const CommonOptions& options)
    : options_(options),
      terminal_(options.colour),
      bar_({.terminal = terminal_.is_tty(Stream::err), .width = Terminal::width(Stream::err)}, write_stderr) {
  set_log_sink(log_level(options), [this](LogLevel level, std::string_view message) { log(level, message); });
  if (options.threads) at::set_num_threads(static_cast<int>(*options.threads));
}

Session::~Session() {
  bar_.clear();
  set_log_sink(LogLevel::off, {});
}

ProgressCallback Session::progress() {
  return [this](const Progress& progress) {
    if (!options_.quiet) {
      bar_.set_width(Terminal::width(Stream::err));
      bar_.update(progress);
    }
    return !interrupted();
  };
}

CausalLM Session::load_model(const std::string& path, const std::string& adapter,
                             std::function<void(const ModelConfig&)> on_config, std::uint64_t max_memory) {
  return CausalLM::from_pretrained(path, {.device = options_.device,
                                          .dtype = options_.dtype,
                                          .adapter = adapter,
                                          .max_memory = max_memory,
                                          .on_config = std::move(on_config),
                                          .on_progress = progress()});
}

void Session::print(std::string_view text) {
  bar_.clear();
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Session::flush() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw Error(
      {.code = "io.write", .file = "standard output", .expected = "to be written", .found = "an error"});
}

void Session::say(std::string_view text) {
  bar_.clear();
  write_stderr(std::string(text) + "\n");
}

void Session::note(std::string_view text) {
  if (!options_.quiet) say(text);
}

void Session::warn(std::string_view text) {
  say(terminal_.styled(Stream::err, Style::yellow, "warning:") + " " + std::string(text));
}

void Session::log(LogLevel level, std::string_view message) {
  if (level == LogLevel::warning || level == LogLevel::error) return warn(one_line(message));
  say(one_line(message));
}

std::string Session::heading(std::string_view text) const {
  return terminal_.styled(Stream::out, Style::bold, text);
}

}  // namespace safetylock::cli
