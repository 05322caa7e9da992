#include "text/tokenizer_digest.h"

#include <cstdint>

#include "base/sha256.h"

namespace safetylock {
namespace {

// Every item is written with its length or as a fixed number of bytes, so that no two tokenizers give the
// same bytes.
class Writer {
 public:
  void number(std::uint64_t v) {
    for (int i = 0; i < 8; ++i) bytes_.push_back(static_cast<char>(v >> (8 * i) & 0xFF));
  }
  void text(std::string_view s) {
    number(s.size());
    bytes_.append(s);
  }
  std::string hex() const { return sha256_hex(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace

std::string tokenizer_digest(const BpeModel& model, const std::vector<AddedToken>& added,
                             PreTokenizerKind pre_tokenizer, NormalizerKind normalizer) {
  Writer w;
  w.text("safetylock tokenizer 1: byte-level BPE");
  w.text(name_of(pre_tokenizer));
  w.text(name_of(normalizer));
  w.number(model.ignore_merges() ? 1 : 0);
  const Vocabulary& vocabulary = model.vocabulary();
  w.number(vocabulary.size());
  for (size_t id = 0; id < vocabulary.size(); ++id) w.text(vocabulary.bytes(static_cast<TokenId>(id)));
  w.number(model.merges().size());
  for (const auto& merge : model.merges()) {
    w.number(merge.left);
    w.number(merge.right);
  }
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
