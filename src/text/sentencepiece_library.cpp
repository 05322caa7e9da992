#include "text/sentencepiece_library.h"

#include <sentencepiece_processor.h>

#include "safetylock/error.h"

namespace safetylock {

struct SentencePieceLibrary::Impl {
  sentencepiece::SentencePieceProcessor processor;
};

SentencePieceLibrary::SentencePieceLibrary(const SentencePieceFile& model, const std::string& file)
    : impl_(std::make_unique<Impl>()) {
  std::string problem;
  try {
    const auto status = impl_->processor.LoadFromSerializedProto(model.serialised());
    if (status.ok()) return;
    problem = status.message();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {  // its tries throw
    problem = e.what();
  }
  throw Error({"spm.library", file, "", "a model that sentencepiece loads", escape_untrusted(problem), ""});
}

SentencePieceLibrary::~SentencePieceLibrary() = default;
SentencePieceLibrary::SentencePieceLibrary(SentencePieceLibrary&&) noexcept = default;
SentencePieceLibrary& SentencePieceLibrary::operator=(SentencePieceLibrary&&) noexcept = default;

void SentencePieceLibrary::encode(std::string_view text, std::vector<SubwordToken>& out) const {
  if (text.size() > kMaxSentencePieceText) {
    throw Error({"limit.text", "", "prompt",
                 "at most " + std::to_string(kMaxSentencePieceText) + " bytes between control tokens",
                 std::to_string(text.size()), ""});
  }
  sentencepiece::ImmutableSentencePieceText encoded;
  const auto status = impl_->processor.Encode(text, encoded.mutable_proto());
  if (!status.ok()) {
    throw Error({"spm.library", "", "prompt", "a text that sentencepiece encodes",
                 escape_untrusted(status.message()), ""});
  }
  const size_t count = encoded.pieces_size();
  for (size_t i = 0; i < count; ++i) {
    const auto piece = encoded.pieces(static_cast<int>(i));
    out.push_back({TokenId{piece.id()}, piece.begin(), piece.end()});
  }
}

}  // namespace safetylock
