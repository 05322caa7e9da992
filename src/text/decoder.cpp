#include "text/decoder.h"

#include "text/byte_piece.h"
#include "text/normalizer.h"
#include "text/sentencepiece_decode.h"

namespace safetylock {
namespace {

using Texts = std::vector<std::string>;

void replace_all(std::string& text, std::string_view wanted, std::string_view content) {
  for (size_t at = text.find(wanted); at != std::string::npos; at = text.find(wanted, at + content.size()))
    text.replace(at, wanted.size(), content);
}

Texts joined_bytes(const Texts& tokens, bool keep_bytes) {
  ByteRun bytes(keep_bytes ? InvalidBytes::kept : InvalidBytes::run_replaced);
  Texts out;
  const auto flush = [&] {
    std::string text;
    bytes.flush(text);
    if (!text.empty()) out.push_back(std::move(text));
  };
  for (const std::string& token : tokens) {
    if (const auto byte = byte_of_piece(token)) {
      bytes.push(*byte);
    } else {
      flush();
      out.push_back(token);
    }
  }
  flush();
  return out;
}

std::string fused(const Texts& tokens) {
  std::string out;
  for (const std::string& token : tokens) out += token;
  return out;
}

void strip(std::string& text, std::string_view content, size_t count) {
  size_t at = 0;
  for (; count > 0 && std::string_view(text).substr(at).starts_with(content); --count) at += content.size();
  text.erase(0, at);
}

void run(const DecoderStep& step, bool keep_bytes, Texts& tokens) {
  switch (step.kind) {
    case DecoderStep::Kind::replace:
      for (std::string& token : tokens) replace_all(token, step.wanted, step.content);
      break;
    case DecoderStep::Kind::byte_fallback:
      tokens = joined_bytes(tokens, keep_bytes);
      break;
    case DecoderStep::Kind::fuse:
      tokens = {fused(tokens)};
      break;
    case DecoderStep::Kind::strip:
      for (std::string& token : tokens) strip(token, step.content, step.count);
      break;
    case DecoderStep::Kind::metaspace:
      for (size_t i = 0; i < tokens.size(); ++i)
        replace_all(tokens[i], kMetaspace, i == 0 && step.drop_first ? "" : " ");
      break;
  }
}

}  // namespace

std::string Decoder::operator()(std::vector<std::string> tokens, bool keep_bytes) const {
  for (const DecoderStep& step : steps_) run(step, keep_bytes, tokens);
  return fused(tokens);
}

}  // namespace safetylock
