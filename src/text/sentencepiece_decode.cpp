#include "text/sentencepiece_decode.h"

#include "base/utf8.h"
#include "text/normalizer.h"

namespace safetylock {

void ByteRun::flush(std::string& out) {
  constexpr char32_t kReplacement = 0xFFFD;
  const bool as_is = invalid_ == InvalidBytes::kept || !utf8::find_invalid(bytes_);
  if (as_is) {
    out += bytes_;
  } else {
    for (size_t i = 0; i < bytes_.size();) {
      const utf8::Decoded d = utf8::decode(std::string_view(bytes_).substr(i));
      const bool keep = d.valid && invalid_ == InvalidBytes::each_replaced;
      utf8::append(out, keep ? d.code_point : kReplacement);
      i += keep ? d.length : 1;
    }
  }
  bytes_.clear();
}

void append_with_spaces(std::string_view piece, std::string& out) {
  for (size_t at = piece.find(kMetaspace); at != std::string_view::npos; at = piece.find(kMetaspace)) {
    out += piece.substr(0, at);
    out += ' ';
    piece.remove_prefix(at + kMetaspace.size());
  }
  out += piece;
}

}  // namespace safetylock
