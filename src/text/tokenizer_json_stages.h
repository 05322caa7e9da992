// The stages of tokenizer.json around the model: each is recognised whole or refused.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/character_bpe_model.h"
#include "text/pretokenizer.h"
#include "text/tokenizer_parts.h"

namespace safetylock::tokenizer_json {

/// Throws `code` naming the JSON pointer of `key` and what stands there.
[[noreturn]] void fail(const std::string& code, const JsonObject& object, const std::string& key,
                       const std::string& expected, const Json& found);
/// Throws bpe.unsupported for a key that is not in the list: nothing in a file is passed over.
void only_keys(const JsonObject& object, std::initializer_list<std::string_view> keys);
/// The stages in a stage of type Sequence, listed under `key`; any other stage by itself.
std::vector<JsonObject> stages_in(const JsonObject& stage, const char* key);
/// The text that a Split or Replace looks for. Throws bpe.unsupported for a regex, `code` for an empty text.
std::string literal_pattern(const JsonObject& stage);

/// None, NFC, Prepend, Replace of a text, and sequences of these.
Normalizer read_normalizer(const JsonObject& root);

/// How words are cut: for byte-level BPE by a pattern, for BPE of characters otherwise.
using WordCut = std::variant<PreTokenizerKind, PieceCut>;
/// Throws bpe.pretokenizer for a pattern that is none of ours.
WordCut read_pre_tokenizer(const JsonObject& root);

/// Where a Metaspace stage puts a U+2581.
PrefixSpace read_metaspace(const JsonObject& stage);

/// Vocabulary and merges. Of `added`, those in the vocabulary may be spelled in any way, and the control
/// tokens are never made of text. Throws bpe.*.
BpeModel read_model(const JsonObject& model, BpeAlphabet alphabet, bool ignore_merges,
                    const std::vector<AddedToken>& added);

/// ByteLevel.
void check_byte_level_decoder(const JsonObject& root);
/// Replace, ByteFallback, Fuse, Strip and Metaspace.
Decoder read_decoder(const JsonObject& root);

/// None, ByteLevel (with BpeAlphabet::bytes) and TemplateProcessing. Ids in the template must be below
/// `max_tokens`.
PostProcessing read_post_processor(const JsonObject& root, BpeAlphabet alphabet, size_t max_tokens);

}  // namespace safetylock::tokenizer_json
