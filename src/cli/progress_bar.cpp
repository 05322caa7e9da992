#include "cli/progress_bar.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "cli/text_format.h"

namespace safetylock::cli {
namespace {

std::string rate_text(double rate, const std::string& unit) {
  if (unit == "bytes") return bytes_text(rate) + "/s";
  return text_format("%.*f %s/s", rate < 10 ? 1 : 0, rate, unit.c_str());
}

std::string amount_text(const Progress& p) {
  if (p.unit == "bytes") {
    const std::string done = bytes_text(static_cast<double>(p.done));
    return p.total > 0 ? done + " of " + bytes_text(static_cast<double>(p.total)) : done;
  }
  const std::string done = std::to_string(p.done);
  return (p.total > 0 ? done + "/" + std::to_string(p.total) : done) + " " + p.unit;
}

std::string bar_of(double fraction, size_t width) {
  const auto filled = static_cast<size_t>(std::floor(fraction * static_cast<double>(width)));
  std::string bar = "[";
  bar.append(filled, '#');
  bar.append(width - filled, '-');
  bar.append("] ");
  return bar;
}

}  // namespace

std::string duration_text(double seconds) {
  const long long s = std::llround(std::max(0.0, seconds));
  if (s < 60) return text_format("%lld s", s);
  if (s < 3600) return text_format("%lld min %02lld s", s / 60, s % 60);
  return text_format("%lld h %02lld min", s / 3600, s / 60 % 60);
}

std::string bytes_text(double bytes) {
  constexpr std::array<const char*, 4> units = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return text_format("%.0f B", bytes);
  size_t unit = 0;
  for (bytes /= 1000; bytes >= 1000 && unit + 1 < units.size(); ++unit) bytes /= 1000;
  return text_format("%.*f %s", bytes < 10 ? 1 : 0, bytes, units[unit]);
}

std::string progress_text(const Progress& progress, double elapsed_seconds) {
  std::string text = amount_text(progress);
  if (progress.done <= 0 || elapsed_seconds <= 0) return text;
  const double rate = static_cast<double>(progress.done) / elapsed_seconds;
  text += ", " + rate_text(rate, progress.unit);
  if (progress.total > progress.done)
    text += ", " + duration_text(static_cast<double>(progress.total - progress.done) / rate) + " left";
  return text;
}

void ProgressBar::begin(const std::string& stage, Clock::time_point now) {
  clear();
  stage_ = stage;
  started_ = now;
  ever_shown_ = false;
  finished_ = false;
}

void ProgressBar::update(const Progress& progress, Clock::time_point now) {
  if (finished_ || progress.stage != stage_) begin(progress.stage, now);
  finished_ = progress.total > 0 && progress.done >= progress.total;
  if (finished_) {
    const double elapsed = std::chrono::duration<double>(now - started_).count();
    if (ever_shown_) {
      clear();
      write_(stage_ + ": " + amount_text(progress) + " in " + duration_text(elapsed) + "\n");
    }
    return;
  }
  if (now - started_ < kSilence) return;
  const auto interval = style_.terminal ? Clock::duration(kDrawInterval) : Clock::duration(kLineInterval);
  if (ever_shown_ && now - shown_ < interval) return;
  draw(progress, now);
}

void ProgressBar::draw(const Progress& progress, Clock::time_point now) {
  const std::string text = progress_text(progress, std::chrono::duration<double>(now - started_).count());
  shown_ = now;
  ever_shown_ = true;
  if (!style_.terminal) {
    write_(stage_ + ": " + text + "\n");
    return;
  }
  std::string line = stage_ + " ";
  // One column stays free: a character in the last one would wrap.
  const size_t used = line.size() + text.size() + 4;
  if (progress.total > 0 && used + 10 <= style_.width) {
    line += bar_of(static_cast<double>(progress.done) / static_cast<double>(progress.total),
                   std::min<size_t>(style_.width - used, 30));
  }
  line += text;
  if (line.size() >= style_.width) line.resize(std::max<size_t>(style_.width, 2) - 1);
  write_("\r" + line + "\x1b[K");
  on_screen_ = true;
}

void ProgressBar::clear() {
  if (on_screen_) write_("\r\x1b[K");
  on_screen_ = false;
}

}  // namespace safetylock::cli
