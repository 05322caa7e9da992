#include "text/tokenizer_json_stages.h"

#include <algorithm>

#include "safetylock/error.h"

namespace safetylock::tokenizer_json {
namespace {

Normalizer::Step read_normalizer_step(const JsonObject& stage) {
  using Kind = Normalizer::Step::Kind;
  const std::string type = stage.string("type");
  if (type == "NFC") {
    only_keys(stage, {"type"});
    return {Kind::compose, "", ""};
  }
  if (type == "Prepend") {
    only_keys(stage, {"type", "prepend"});
    return {Kind::prepend, "", stage.string("prepend")};
  }
  if (type == "Replace") {
    only_keys(stage, {"type", "pattern", "content"});
    return {Kind::replace, literal_pattern(stage), stage.string("content")};
  }
  fail("bpe.unsupported", stage, "type", "none, \"NFC\", \"Prepend\" or \"Replace\"", stage.at("type"));
}

// Whether a ByteLevel pre-tokenizer applies GPT-2's pattern.
bool byte_level_uses_regex(const JsonObject& stage) {
  only_keys(stage, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (stage.string("type") != "ByteLevel")
    fail("bpe.unsupported", stage, "type", "\"ByteLevel\"", stage.at("type"));
  if (stage.boolean_or("add_prefix_space", true))
    fail("bpe.unsupported", stage, "add_prefix_space", "false", stage.value());
  stage.boolean_or("trim_offsets", true);  // has effect in a post-processor only
  return stage.boolean_or("use_regex", true);
}

// Our patterns leave nothing between matches, so that it is all one whether what they match is isolated or
// what they do not match is removed.
void check_behavior_of_regex(const JsonObject& split) {
  const std::string behavior = split.string("behavior");
  const bool inverted = split.boolean_or("invert", false);
  if (behavior != "Isolated" && behavior != "Removed")
    fail("bpe.unsupported", split, "behavior", "\"Isolated\", or \"Removed\" inverted", split.at("behavior"));
  if (inverted != (behavior == "Removed")) {
    fail("bpe.unsupported", split, "invert", inverted ? "false with \"Isolated\"" : "true with \"Removed\"",
         split.value());
  }
}

PreTokenizerKind kind_of_split(const JsonObject& split) {
  only_keys(split, {"type", "pattern", "behavior", "invert"});
  check_behavior_of_regex(split);
  const JsonObject pattern = split.object("pattern");
  only_keys(pattern, {"Regex"});
  const auto kind = pretokenizer_of_regex(pattern.string("Regex"));
  if (!kind) {
    fail("bpe.pretokenizer", pattern, "Regex",
         "the pattern of GPT-2, Llama 3, Qwen2, tekken or GPT-4o, character for character",
         pattern.at("Regex"));
  }
  return *kind;
}

void check_digits(const JsonObject& digits) {
  only_keys(digits, {"type", "individual_digits"});
  if (!digits.boolean_or("individual_digits", false))
    fail("bpe.unsupported", digits, "individual_digits", "true", digits.value());
}

PreTokenizerKind read_byte_level_sequence(const JsonObject& first, const JsonObject& second) {
  const std::string type = first.string("type");
  const bool digits = type == "Digits";
  if (!digits && type != "Split")
    fail("bpe.unsupported", first, "type", "\"Split\" or \"Digits\"", first.at("type"));
  if (byte_level_uses_regex(second) != digits) {
    fail("bpe.pretokenizer", second, "use_regex", "true after Digits and false after Split", second.value());
  }
  if (!digits) return kind_of_split(first);
  check_digits(first);
  return PreTokenizerKind::smollm;
}

PieceCut read_literal_split(const JsonObject& split) {
  only_keys(split, {"type", "pattern", "behavior", "invert"});
  PieceCut cut{.kind = PieceCut::Kind::literal, .literal = literal_pattern(split)};
  if (split.string("behavior") != "MergedWithPrevious")
    fail("bpe.unsupported", split, "behavior", "\"MergedWithPrevious\"", split.at("behavior"));
  if (split.boolean_or("invert", false))
    fail("bpe.unsupported", split, "invert", "false", split.at("invert"));
  return cut;
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

std::vector<JsonObject> stages_in(const JsonObject& stage, const char* key) {
  if (stage.string("type") != "Sequence") return {stage};
  only_keys(stage, {"type", std::string_view(key)});
  const Json& list = stage.at(key);
  if (!list.is_array() || list.empty()) fail("bpe.unsupported", stage, key, "an array of stages", list);
  std::vector<JsonObject> out;
  for (size_t i = 0; i < list.size(); ++i)
    out.emplace_back(list[i], stage.file(), stage.pointer_to(key) + "/" + std::to_string(i));
  return out;
}

std::string literal_pattern(const JsonObject& stage) {
  const JsonObject pattern = stage.object("pattern");
  only_keys(pattern, {"String"});
  std::string text = pattern.string("String");
  if (text.empty()) fail("bpe.unsupported", pattern, "String", "a text", pattern.at("String"));
  return text;
}

Normalizer read_normalizer(const JsonObject& root) {
  if (!root.has("normalizer")) return {};
  std::vector<Normalizer::Step> steps;
  for (const JsonObject& stage : stages_in(root.object("normalizer"), "normalizers"))
    steps.push_back(read_normalizer_step(stage));
  return Normalizer(std::move(steps));
}

WordCut read_pre_tokenizer(const JsonObject& root) {
  if (!root.has("pre_tokenizer")) return PieceCut{};
  const std::vector<JsonObject> stages = stages_in(root.object("pre_tokenizer"), "pretokenizers");
  if (stages.size() == 2) return read_byte_level_sequence(stages[0], stages[1]);
  const JsonObject& stage = stages.front();
  if (stages.size() > 2) {
    fail("bpe.unsupported", root, "pre_tokenizer", "one stage, or Split or Digits and then ByteLevel",
         root.at("pre_tokenizer"));
  }
  const std::string type = stage.string("type");
  if (type == "ByteLevel") {
    if (byte_level_uses_regex(stage)) return PreTokenizerKind::gpt2;
    fail("bpe.pretokenizer", root, "pre_tokenizer", "a pattern", stage.value());
  }
  if (type == "Split") return read_literal_split(stage);
  if (type == "Metaspace") {
    const PrefixSpace prefix = read_metaspace(stage);
    return PieceCut{
        .kind = PieceCut::Kind::metaspace, .prefix = prefix, .split = stage.boolean_or("split", true)};
  }
  fail("bpe.unsupported", stage, "type", "\"ByteLevel\", \"Metaspace\", \"Split\" or \"Sequence\"",
       stage.at("type"));
}

PrefixSpace read_metaspace(const JsonObject& stage) {
  only_keys(stage, {"type", "replacement", "prepend_scheme", "split", "add_prefix_space"});
  if (stage.string("replacement") != kMetaspace)
    fail("bpe.unsupported", stage, "replacement", "U+2581", stage.at("replacement"));
  const std::string scheme = stage.string_or("prepend_scheme", "always");
  stage.boolean_or("split", true);
  // The older spelling of the scheme, which files may still have beside it.
  if (!stage.boolean_or("add_prefix_space", true) && scheme != "never") {
    fail("bpe.unsupported", stage, "add_prefix_space", "nothing that prepend_scheme contradicts",
         stage.value());
  }
  if (scheme == "always") return PrefixSpace::always;
  if (scheme == "first") return PrefixSpace::first;
  if (scheme == "never") return PrefixSpace::never;
  fail("bpe.unsupported", stage, "prepend_scheme", "\"always\", \"first\" or \"never\"",
       stage.at("prepend_scheme"));
}

}  // namespace safetylock::tokenizer_json
