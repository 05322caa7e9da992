#include "text/tokenizer_json_stages.h"

#include <algorithm>

#include "safetylock/error.h"

namespace safetylock::tokenizer_json {
namespace {

std::string type_of(const JsonObject& stage) {
  return stage.string("type");
}

JsonObject stage_of(const JsonObject& root, const char* key) {
  if (!root.has(key)) fail("bpe.unsupported", root, key, "a stage as byte-level BPE has it", nullptr);
  return root.object(key);
}

// Elements of a Sequence's list.
std::vector<JsonObject> elements(const JsonObject& sequence, const char* key) {
  only_keys(sequence, {"type", std::string_view(key)});
  const Json& list = sequence.at(key);
  if (!list.is_array()) fail("bpe.unsupported", sequence, key, "an array", list);
  std::vector<JsonObject> out;
  for (size_t i = 0; i < list.size(); ++i)
    out.emplace_back(list[i], sequence.file(), sequence.pointer_to(key) + "/" + std::to_string(i));
  return out;
}

// Whether a ByteLevel pre-tokenizer applies GPT-2's pattern.
bool byte_level_uses_regex(const JsonObject& stage) {
  only_keys(stage, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (type_of(stage) != "ByteLevel")
    fail("bpe.unsupported", stage, "type", "\"ByteLevel\"", stage.at("type"));
  if (stage.boolean_or("add_prefix_space", true))
    fail("bpe.unsupported", stage, "add_prefix_space", "false", stage.value());
  stage.boolean_or("trim_offsets", true);  // has effect in a post-processor only
  return stage.boolean_or("use_regex", true);
}

PreTokenizerKind kind_of_split(const JsonObject& split) {
  only_keys(split, {"type", "pattern", "behavior", "invert"});
  if (split.string("behavior") != "Isolated")
    fail("bpe.unsupported", split, "behavior", "\"Isolated\"", split.at("behavior"));
  if (split.boolean_or("invert", false))
    fail("bpe.unsupported", split, "invert", "false", split.at("invert"));
  const JsonObject pattern = split.object("pattern");
  only_keys(pattern, {"Regex"});
  const auto kind = pretokenizer_of_regex(pattern.string("Regex"));
  if (!kind) {
    fail("bpe.pretokenizer", pattern, "Regex",
         "the pattern of GPT-2, Llama 3 or Qwen2, character for character", pattern.at("Regex"));
  }
  return *kind;
}

void check_digits(const JsonObject& digits) {
  only_keys(digits, {"type", "individual_digits"});
  if (!digits.boolean_or("individual_digits", false))
    fail("bpe.unsupported", digits, "individual_digits", "true", digits.value());
}

void read_byte_level(const JsonObject& stage, PostProcessing& out) {
  only_keys(stage, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  out.trim_offsets = stage.boolean_or("trim_offsets", true);
  out.add_prefix_space = stage.boolean_or("add_prefix_space", true);
  stage.boolean_or("use_regex", true);  // has effect in a pre-tokenizer only
}

// Appends the ids of one named special token of a template.
void append_special(const JsonObject& special_tokens, const std::string& name, size_t max_tokens,
                    std::vector<TokenId>& out) {
  const JsonObject entry = special_tokens.object(name);
  only_keys(entry, {"id", "ids", "tokens"});
  const Json& ids = entry.at("ids");
  if (!ids.is_array()) fail("bpe.unsupported", entry, "ids", "an array", ids);
  for (const Json& id : ids) {
    if (!id.is_number_integer() || id < 0 || id >= max_tokens)
      fail("bpe.vocab_id", entry, "ids", "ids of the vocabulary", id);
    out.push_back(id.get<TokenId>());
  }
}

// Only the template of a single sequence is read: pairs of sequences are never encoded.
void read_template(const JsonObject& stage, size_t max_tokens, PostProcessing& out) {
  only_keys(stage, {"type", "single", "pair", "special_tokens"});
  const JsonObject special_tokens = stage.object("special_tokens");
  const Json& single = stage.at("single");
  if (!single.is_array()) fail("bpe.unsupported", stage, "single", "an array", single);
  bool seen_sequence = false;
  for (size_t i = 0; i < single.size(); ++i) {
    const JsonObject item(single[i], stage.file(), stage.pointer_to("single") + "/" + std::to_string(i));
    only_keys(item, {"Sequence", "SpecialToken"});
    if (item.has("SpecialToken")) {
      const std::string name = item.object("SpecialToken").string("id");
      append_special(special_tokens, name, max_tokens, seen_sequence ? out.after : out.before);
    } else if (seen_sequence || item.object("Sequence").string("id") != "A") {
      fail("bpe.unsupported", stage, "single", "sequence A once", single[i]);
    } else {
      seen_sequence = true;
    }
  }
  if (!seen_sequence) fail("bpe.unsupported", stage, "single", "sequence A once", single);
}

}  // namespace

void fail(const std::string& code, const JsonObject& object, const std::string& key,
          const std::string& expected, const Json& found) {
  throw Error({code, object.file(), object.pointer_to(key), expected, describe_json(found), ""});
}

void only_keys(const JsonObject& object, std::initializer_list<std::string_view> keys) {
  const Json& value = object.value();
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (std::find(keys.begin(), keys.end(), it.key()) != keys.end()) continue;
    fail("bpe.unsupported", object, escape_untrusted(it.key()),
         "no such field: what it would do is not known", it.value());
  }
}

NormalizerKind read_normalizer(const JsonObject& root) {
  if (!root.has("normalizer")) return NormalizerKind::none;
  const JsonObject stage = stage_of(root, "normalizer");
  only_keys(stage, {"type"});
  if (type_of(stage) != "NFC") fail("bpe.unsupported", stage, "type", "none or \"NFC\"", stage.at("type"));
  return NormalizerKind::nfc;
}

PreTokenizerKind read_pre_tokenizer(const JsonObject& root) {
  const JsonObject stage = stage_of(root, "pre_tokenizer");
  if (type_of(stage) == "ByteLevel") {
    if (!byte_level_uses_regex(stage))
      fail("bpe.pretokenizer", root, "pre_tokenizer", "a pattern", stage.value());
    return PreTokenizerKind::gpt2;
  }
  if (type_of(stage) != "Sequence")
    fail("bpe.unsupported", stage, "type", "\"ByteLevel\" or \"Sequence\"", stage.at("type"));
  const std::vector<JsonObject> list = elements(stage, "pretokenizers");
  if (list.size() != 2) {
    fail("bpe.unsupported", stage, "pretokenizers", "Split or Digits, then ByteLevel",
         stage.at("pretokenizers"));
  }
  const std::string first = type_of(list[0]);
  const bool digits = first == "Digits";
  if (!digits && first != "Split")
    fail("bpe.unsupported", list[0], "type", "\"Split\" or \"Digits\"", list[0].at("type"));
  if (byte_level_uses_regex(list[1]) != digits) {
    fail("bpe.pretokenizer", stage, "pretokenizers", "use_regex after Digits and not after Split",
         list[1].value());
  }
  if (!digits) return kind_of_split(list[0]);
  check_digits(list[0]);
  return PreTokenizerKind::smollm;
}

void check_decoder(const JsonObject& root) {
  const JsonObject stage = stage_of(root, "decoder");
  if (type_of(stage) != "ByteLevel")
    fail("bpe.unsupported", stage, "type", "\"ByteLevel\"", stage.at("type"));
  only_keys(stage,
            {"type", "add_prefix_space", "trim_offsets", "use_regex"});  // none has effect in a decoder
}

PostProcessing read_post_processor(const JsonObject& root, size_t max_tokens) {
  PostProcessing out;
  if (!root.has("post_processor")) return out;
  const JsonObject stage = stage_of(root, "post_processor");
  const std::vector<JsonObject> stages =
      type_of(stage) == "Sequence" ? elements(stage, "processors") : std::vector<JsonObject>{stage};
  std::vector<std::string> seen;
  for (const JsonObject& s : stages) {
    const std::string type = type_of(s);
    if (std::find(seen.begin(), seen.end(), type) != seen.end())
      fail("bpe.unsupported", s, "type", "each post-processor once", s.at("type"));
    seen.push_back(type);
    if (type == "ByteLevel") {
      read_byte_level(s, out);
    } else if (type == "TemplateProcessing") {
      read_template(s, max_tokens, out);
    } else {
      fail("bpe.unsupported", s, "type", "\"ByteLevel\" or \"TemplateProcessing\"", s.at("type"));
    }
  }
  return out;
}

}  // namespace safetylock::tokenizer_json
