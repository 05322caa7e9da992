// The text of one reply, token by token.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text_stream.h"
#include "safetylock/tokenizer.h"

namespace safetylock {

/// Throws arg.stop for stop strings that are empty, too long, too many or no UTF-8.
void check_stop_strings(const std::vector<std::string>& stop);

class ReplyText {
 public:
  /// `on_text`, which may be empty, gets each piece of the text. The tokenizer must outlive this.
  ReplyText(const Tokenizer& tokenizer, std::vector<std::string> stop,
            std::function<void(std::string_view)> on_text);

  /// Takes the next token; false once a stop string is complete.
  bool push(TokenId token);
  void finish();

  const std::string& text() const noexcept { return text_; }
  bool stopped() const noexcept { return stream_.stopped(); }

 private:
  std::string bytes_of(TokenId token);
  void add(const std::string& piece);

  const Tokenizer* tokenizer_;
  TextStream stream_;
  std::function<void(std::string_view)> on_text_;
  std::string text_;
  std::vector<TokenId> opening_;  // tokens up to the first that has bytes
  size_t opening_bytes_ = 0;
};

}  // namespace safetylock
