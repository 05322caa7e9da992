// What standard output and standard error can show.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace safetylock::cli {

enum class ColourMode { automatic, on, off };
enum class Stream { out, err };
enum class Style { bold, red, green, yellow, dim, magenta, cyan, underline };

/// Decides once, from the mode, NO_COLOR, FORCE_COLOR, TERM and isatty, whether each stream gets colours.
class Terminal {
 public:
  explicit Terminal(ColourMode mode = ColourMode::automatic);

  bool is_tty(Stream stream) const noexcept;
  /// Columns of the terminal; 80 when it does not say.
  static size_t width(Stream stream) noexcept;
  /// `text` in `style` where the stream shows colours, else unchanged.
  std::string styled(Stream stream, Style style, std::string_view text) const;
  bool colours(Stream stream) const noexcept { return stream == Stream::out ? out_colours_ : err_colours_; }

 private:
  bool out_colours_, err_colours_;
};

}  // namespace safetylock::cli
