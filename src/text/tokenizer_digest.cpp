#include "text/tokenizer_digest.h"

#include "base/sha256.h"

namespace safetylock {

void DigestWriter::number(std::uint64_t v) {
  for (int i = 0; i < 8; ++i) bytes_.push_back(static_cast<char>(v >> (8 * i) & 0xFF));
}

void DigestWriter::text(std::string_view s) {
  number(s.size());
  bytes_.append(s);
}

std::string DigestWriter::hex() const {
  return sha256_hex(bytes_);
}

std::string tokenizer_digest(const SubwordModel& model, const Normalizer& normalizer,
                             const std::vector<AddedToken>& added) {
  DigestWriter w;
  model.write_digest(w, normalizer);
  w.number(added.size());
  for (const AddedToken& t : added) {
    w.number(static_cast<std::uint64_t>(t.id));
    w.text(t.content);
    for (const bool flag : {t.single_word, t.lstrip, t.rstrip, t.normalized, t.special})
      w.number(flag ? 1 : 0);
  }
  return w.hex();
}

}  // namespace safetylock
