// The stages of tokenizer.json around the model: each is recognised whole or refused.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/json.h"
#include "text/pretokenizer.h"
#include "text/tokenizer_parts.h"

namespace safetylock::tokenizer_json {

/// Throws `code` naming the JSON pointer of `key` and what stands there.
[[noreturn]] void fail(const std::string& code, const JsonObject& object, const std::string& key,
                       const std::string& expected, const Json& found);
/// Throws bpe.unsupported for a key that is not in the list: nothing in a file is passed over.
void only_keys(const JsonObject& object, std::initializer_list<std::string_view> keys);

NormalizerKind read_normalizer(const JsonObject& root);
/// Throws bpe.pretokenizer for a pattern that is none of ours.
PreTokenizerKind read_pre_tokenizer(const JsonObject& root);
void check_decoder(const JsonObject& root);
/// Ids in the template must be below `max_tokens`.
PostProcessing read_post_processor(const JsonObject& root, size_t max_tokens);

}  // namespace safetylock::tokenizer_json
