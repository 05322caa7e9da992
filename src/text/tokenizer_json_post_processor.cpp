#include <algorithm>

#include "safetylock/error.h"
#include "text/tokenizer_json_stages.h"

namespace safetylock::tokenizer_json {
namespace {

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

PostProcessing read_post_processor(const JsonObject& root, BpeAlphabet alphabet, size_t max_tokens) {
  PostProcessing out;
  if (!root.has("post_processor")) return out;
  std::vector<std::string> seen;
  for (const JsonObject& s : stages_in(root.object("post_processor"), "processors")) {
    const std::string type = s.string("type");
    if (std::find(seen.begin(), seen.end(), type) != seen.end())
      fail("bpe.unsupported", s, "type", "each post-processor once", s.at("type"));
    seen.push_back(type);
    if (type == "ByteLevel" && alphabet == BpeAlphabet::bytes) {
      read_byte_level(s, out);
    } else if (type == "TemplateProcessing") {
      read_template(s, max_tokens, out);
    } else {
      fail("bpe.unsupported", s, "type",
           alphabet == BpeAlphabet::bytes ? "\"ByteLevel\" or \"TemplateProcessing\""
                                          : "\"TemplateProcessing\"",
           s.at("type"));
    }
  }
  return out;
}

}  // namespace safetylock::tokenizer_json
