#include "engine/reply_text.h"

#include "base/utf8.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr size_t kMaxStopStrings = 64;
constexpr size_t kMaxStopBytes = 1024;

[[noreturn]] void refuse(const std::string& where, const std::string& expected, const std::string& found) {
  throw Error({.code = "arg.stop", .where = where, .expected = expected, .found = found});
}

}  // namespace

void check_stop_strings(const std::vector<std::string>& stop) {
  if (stop.size() > kMaxStopStrings) {
    refuse("stop", "at most " + std::to_string(kMaxStopStrings) + " stop strings",
           std::to_string(stop.size()));
  }
  for (size_t i = 0; i < stop.size(); ++i) {
    const std::string where = "stop string " + std::to_string(i);
    if (stop[i].empty() || stop[i].size() > kMaxStopBytes)
      refuse(where, "1 to " + std::to_string(kMaxStopBytes) + " bytes", std::to_string(stop[i].size()));
    if (const auto offset = utf8::find_invalid(stop[i])) {
      refuse(where + ", byte " + std::to_string(*offset), "valid UTF-8",
             escape_untrusted(std::string_view(stop[i]).substr(*offset, 4)));
    }
  }
}

ReplyText::ReplyText(const Tokenizer& tokenizer, std::vector<std::string> stop,
                     std::function<void(std::string_view)> on_text)
    : tokenizer_(&tokenizer), stream_(std::move(stop)), on_text_(std::move(on_text)) {}

bool ReplyText::push(TokenId token) {
  add(stream_.push(bytes_of(token)));
  return !stream_.stopped();
}

void ReplyText::finish() {
  add(stream_.finish());
}

/// What the token adds to the bytes of the reply. It is decoded behind the reply's opening, since a tokenizer
/// may treat the beginning of a text in a way of its own (such as dropping a space).
std::string ReplyText::bytes_of(TokenId token) {
  // A row that only pads the embedding: no text, as Hugging Face decodes it.
  if (token >= tokenizer_->vocab_size()) return {};
  opening_.push_back(token);
  const std::string bytes = tokenizer_->decode_bytes(opening_);
  if (opening_bytes_ == 0) {
    opening_bytes_ = bytes.size();
    return bytes;
  }
  opening_.pop_back();
  return bytes.substr(opening_bytes_);
}

void ReplyText::add(const std::string& piece) {
  text_ += piece;
  if (on_text_ && !piece.empty()) on_text_(piece);
}

}  // namespace safetylock
