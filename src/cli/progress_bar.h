// Progress of long steps on standard error: a bar with rate and remaining time on a terminal, a plain line
// now and then elsewhere. Steps of less than two seconds show nothing.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "safetylock/progress.h"

namespace safetylock::cli {

struct ProgressStyle {
  bool terminal = false;  ///< a bar that is redrawn; otherwise lines
  size_t width = 80;      ///< columns of the terminal
};

class ProgressBar {
 public:
  using Clock = std::chrono::steady_clock;
  using Writer = std::function<void(const std::string&)>;
  /// `write` gets what is to appear on standard error.
  ProgressBar(ProgressStyle style, Writer write) : style_(style), write_(std::move(write)) {}

  void set_width(size_t columns) noexcept { style_.width = columns; }
  void update(const Progress& progress, Clock::time_point now = Clock::now());
  /// Removes a bar that is on the screen, so that something else can be printed; the next update draws anew.
  void clear();

  static constexpr std::chrono::seconds kSilence{2};  ///< before a step shows at all
  static constexpr std::chrono::seconds kLineInterval{10};
  static constexpr std::chrono::milliseconds kDrawInterval{100};

 private:
  void begin(const std::string& stage, Clock::time_point now);
  void draw(const Progress& progress, Clock::time_point now);

  ProgressStyle style_;
  Writer write_;
  std::string stage_;
  Clock::time_point started_, shown_;
  bool ever_shown_ = false;  // in this stage
  bool on_screen_ = false;
  bool finished_ = true;  // the stage has reported its end: the same name again is a new stage
};

/// "12 s", "3 min 04 s", "1 h 02 min".
std::string duration_text(double seconds);
/// "512 B", "1.4 GB".
std::string bytes_text(double bytes);
/// "12/128 pairs, 3.1 pairs/s, 37 s left": without the parts that are not known.
std::string progress_text(const Progress& progress, double elapsed_seconds);

}  // namespace safetylock::cli
