#include "base/utf8.h"
#include "safetylock/error.h"
#include "text/tokenizer_json_stages.h"

namespace safetylock::tokenizer_json {
namespace {

using Kind = DecoderStep::Kind;

std::vector<JsonObject> decoders(const JsonObject& root) {
  if (!root.has("decoder")) fail("bpe.unsupported", root, "decoder", "a decoder", nullptr);
  return stages_in(root.object("decoder"), "decoders");
}

DecoderStep read_strip(const JsonObject& stage) {
  only_keys(stage, {"type", "content", "start", "stop"});
  DecoderStep step{.kind = Kind::strip, .content = stage.string("content")};
  if (step.content.empty() || utf8::decode(step.content).length != step.content.size())
    fail("bpe.unsupported", stage, "content", "one character", stage.at("content"));
  step.count = static_cast<size_t>(stage.integer("start", 0, INT32_MAX));
  if (stage.integer("stop", 0, INT32_MAX) != 0) fail("bpe.unsupported", stage, "stop", "0", stage.at("stop"));
  return step;
}

DecoderStep read_step(const JsonObject& stage) {
  const std::string type = stage.string("type");
  if (type == "Replace") {
    only_keys(stage, {"type", "pattern", "content"});
    return {.kind = Kind::replace, .wanted = literal_pattern(stage), .content = stage.string("content")};
  }
  if (type == "ByteFallback" || type == "Fuse") {
    only_keys(stage, {"type"});
    return {.kind = type == "Fuse" ? Kind::fuse : Kind::byte_fallback};
  }
  if (type == "Strip") return read_strip(stage);
  if (type == "Metaspace")
    return {.kind = Kind::metaspace, .drop_first = read_metaspace(stage) != PrefixSpace::never};
  fail("bpe.unsupported", stage, "type",
       "\"Replace\", \"ByteFallback\", \"Fuse\", \"Strip\" or \"Metaspace\"", stage.at("type"));
}

}  // namespace

void check_byte_level_decoder(const JsonObject& root) {
  const std::vector<JsonObject> stages = decoders(root);
  const JsonObject& stage = stages.front();
  if (stages.size() > 1) {
    fail("bpe.unsupported", root, "decoder", "\"ByteLevel\" alone", root.at("decoder"));
  }
  if (stage.string("type") != "ByteLevel")
    fail("bpe.unsupported", stage, "type", "\"ByteLevel\"", stage.at("type"));
  only_keys(stage,
            {"type", "add_prefix_space", "trim_offsets", "use_regex"});  // none has effect in a decoder
}

Decoder read_decoder(const JsonObject& root) {
  std::vector<DecoderStep> steps;
  for (const JsonObject& stage : decoders(root)) steps.push_back(read_step(stage));
  return Decoder(std::move(steps));
}

}  // namespace safetylock::tokenizer_json
