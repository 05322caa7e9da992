#include "safetylock/verify_probes.h"

#include "base/json.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr const char* kSchema = "safetylock.probes/1";
constexpr std::int64_t kMaxId = (std::int64_t{1} << 31) - 1;

double logprob(const JsonObject& o, const char* key) {
  const double value = o.number(key);
  if (value <= 0) return value;
  throw Error(
      {"cfg.range", o.file(), o.pointer_to(key), "a log-probability, at most 0", std::to_string(value), ""});
}

const Json& list(const JsonObject& o, const char* key) {
  const Json& value = o.at(key);
  if (value.is_array() && !value.empty()) return value;
  throw Error(
      {"cfg.type", o.file(), o.pointer_to(key), "a list that is not empty", describe_json(value), ""});
}

std::int64_t token_id(const JsonObject& o, const char* key, const Json& value) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMaxId))
    return value.get<std::int64_t>();
  throw Error({"cfg.token_id", o.file(), o.pointer_to(key), "token ids", describe_json(value), ""});
}

VerifyProbe probe_in(const JsonObject& o) {
  VerifyProbe probe;
  for (const Json& id : list(o, "prompt_ids")) probe.prompt_ids.push_back(token_id(o, "prompt_ids", id));
  const Json& next = list(o, "next");
  for (size_t i = 0; i < next.size(); ++i) {
    const JsonObject token(next[i], o.file(), o.pointer_to("next") + "/" + std::to_string(i));
    probe.next.push_back({token.integer("id", 0, kMaxId), token.string_or("text", ""),
                          logprob(token, "unlocked"), logprob(token, "locked")});
  }
  return probe;
}

}  // namespace

std::string probes_to_json(const VerifyProbes& probes) {
  JsonTree tree(Json::object());
  Json& json = *tree;
  json["schema"] = kSchema;
  json["model"] = probes.model;
  json["lock_digest"] = probes.lock_digest;
  json["alpha"] = probes.alpha;
  json["dtype"] = probes.dtype;
  json["probes"] = Json::array();
  for (const VerifyProbe& probe : probes.probes) {
    Json next = Json::array();
    for (const ProbeToken& t : probe.next)
      next.push_back({{"id", t.id}, {"text", t.text}, {"unlocked", t.unlocked}, {"locked", t.locked}});
    json["probes"].push_back({{"prompt_ids", probe.prompt_ids}, {"next", std::move(next)}});
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

VerifyProbes probes_from_json(std::string_view text, const std::string& file) {
  const JsonTree tree = parse_json(text, file);
  const JsonObject o(*tree, file);
  if (o.string("schema") != kSchema)
    throw Error({"cfg.range", file, "/schema", kSchema, describe_json(o.at("schema")), ""});
  VerifyProbes probes{o.string("model"), o.string("lock_digest"), o.number("alpha"), o.string("dtype"), {}};
  const Json& all = list(o, "probes");
  for (size_t i = 0; i < all.size(); ++i)
    probes.probes.push_back(probe_in(JsonObject(all[i], file, "/probes/" + std::to_string(i))));
  return probes;
}

}  // namespace safetylock
