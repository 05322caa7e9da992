#include "formats/hf_rope.h"

#include <algorithm>
#include <vector>

#include "formats/config_limits.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

class RopeReader {
 public:
  RopeReader(const JsonObject& config, ModelConfig& c) : o_(config), c_(c) {}

  void read() {
    std::vector<JsonObject> scalings;  // transformers 4, then 5
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
      if (!o_.has(key)) continue;
      scalings.push_back(o_.object(key));
      refuse_nested(scalings.back());
    }
    std::string theta_in;
    number_in(&o_, "rope_theta", c_.rope_theta, theta_in);
    std::string partial_in;
    double partial = 1.0;
    number_in(&o_, "partial_rotary_factor", partial, partial_in);
    for (const JsonObject& s : scalings) {
      number_in(&s, "rope_theta", c_.rope_theta, theta_in);
      number_in(&s, "partial_rotary_factor", partial, partial_in);
    }
    if (partial != 1.0)
      fail("cfg.unsupported", partial_in, "1", std::to_string(partial),
           "Partial rotary embeddings are not supported");
    for (const JsonObject& s : scalings) {
      if (type_of(s) != type_of(scalings.front())) {
        fail("cfg.conflict", s.pointer_to("rope_type"),
             "the type of rope_scaling, \"" + escape_untrusted(type_of(scalings.front())) + "\"",
             "\"" + escape_untrusted(type_of(s)) + "\"");
      }
    }
    if (!scalings.empty()) read_scaling(scalings, type_of(scalings.front()));
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, o_.file(), where, expected, found, hint});
  }

  // A number that may stand in the old place, the new one or both.
  void number_in(const JsonObject* object, const char* key, double& value, std::string& seen_in) const {
    if (object == nullptr || !object->has(key)) return;
    const double v = object->number(key);
    if (!seen_in.empty() && v != value) {
      fail("cfg.conflict", object->pointer_to(key), "the value of " + seen_in + ", " + std::to_string(value),
           std::to_string(v));
    }
    value = v;
    seen_in = object->pointer_to(key);
  }

  static std::string type_of(const JsonObject& scaling) {
    const std::string type = scaling.string_or("rope_type", scaling.string_or("type", "default"));
    if (scaling.has("type") && scaling.string("type") != type) {
      throw Error({"cfg.conflict", scaling.file(), scaling.pointer_to("type"),
                   "the value of rope_type, \"" + escape_untrusted(type) + "\"",
                   describe_json(scaling.at("type")), ""});
    }
    return type;
  }

  // transformers 5 writes one object for each kind of layer where a family has several.
  void refuse_nested(const JsonObject& rope) const {
    for (const auto& [key, value] : rope.value().items()) {
      if (!value.is_object()) continue;
      fail("cfg.unsupported", rope.pointer_to(escape_untrusted(key)), "one rotary embedding for all layers",
           describe_json(value));
    }
  }

  void read_scaling(const std::vector<JsonObject>& scalings, const std::string& type) {
    RopeScaling& r = c_.rope_scaling;
    if (type == "default") return;
    if (type == "linear") {
      r.type = RopeScaling::Type::linear;
    } else if (type == "llama3") {
      r.type = RopeScaling::Type::llama3;
    } else {
      fail("cfg.unsupported", scalings.front().pointer_to("rope_type"), "default, linear or llama3",
           "\"" + escape_untrusted(type) + "\"", "Ignoring it would give wrong text quietly");
    }
    r.factor = required(scalings, "factor");
    if (r.type != RopeScaling::Type::llama3) return;
    r.low_freq_factor = required(scalings, "low_freq_factor");
    r.high_freq_factor = required(scalings, "high_freq_factor");
    r.original_max_position_embeddings = original_context(scalings);
  }

  // Stands beside the factors or, in files of some tools, at the top; transformers 5 takes the model's own
  // context where it stands nowhere.
  std::int64_t original_context(std::vector<JsonObject> places) const {
    constexpr const char* kKey = "original_max_position_embeddings";
    places.push_back(o_);
    const JsonObject& first = first_with(places, kKey);
    if (!first.has(kKey)) return c_.max_position_embeddings;
    required(places, kKey);
    return first.integer(kKey, 1, limits::kContext);
  }

  static const JsonObject& first_with(const std::vector<JsonObject>& scalings, const char* key) {
    const auto it =
        std::find_if(scalings.begin(), scalings.end(), [&](const JsonObject& s) { return s.has(key); });
    return it == scalings.end() ? scalings.front() : *it;
  }

  // The value of `key`, the same wherever it stands; cfg.missing when it stands nowhere.
  double required(const std::vector<JsonObject>& scalings, const char* key) const {
    double value = first_with(scalings, key).number(key);
    std::string seen_in = first_with(scalings, key).pointer_to(key);
    for (const JsonObject& s : scalings) number_in(&s, key, value, seen_in);
    return value;
  }

  const JsonObject& o_;
  ModelConfig& c_;
};

}  // namespace

void read_hf_rope(const JsonObject& config, ModelConfig& c) {
  RopeReader(config, c).read();
}

}  // namespace safetylock
