#include "formats/hf_rope.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/config_limits.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::int64_t kOriginalPhi3 = 4'096;  // the default of Phi3Config

class RopeReader {
 public:
  RopeReader(const JsonObject& config, const Family& family, ModelConfig& c)
      : o_(config), family_(family), c_(c) {}

  void read() {
    c_.rope_theta = family_.defaults.rope_theta;
    std::vector<JsonObject> scalings;  // transformers 4, then 5
    if (o_.has("rope_scaling")) scalings.push_back(flat(o_.object("rope_scaling")));
    if (o_.has("rope_parameters")) read_parameters(o_.object("rope_parameters"), scalings);
    std::string theta_in;
    number_in(&o_, "rope_theta", c_.rope_theta, theta_in);
    for (const JsonObject& s : scalings) number_in(&s, "rope_theta", c_.rope_theta, theta_in);
    if (family_.rope_local_base_freq) {
      if (local_in_.empty()) c_.rope_local_base_freq = *family_.rope_local_base_freq;
      number_in(&o_, "rope_local_base_freq", c_.rope_local_base_freq, local_in_);
    }
    read_partial(scalings);
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

  JsonObject flat(const JsonObject& rope) const {
    for (const auto& [key, value] : rope.value().items()) {
      if (!value.is_object()) continue;
      fail("cfg.unsupported", rope.pointer_to(escape_untrusted(key)), "one rotary embedding for all layers",
           describe_json(value));
    }
    return rope;
  }

  // transformers 5 writes one object for each kind of layer where a family has several.
  void read_parameters(const JsonObject& rope, std::vector<JsonObject>& scalings) {
    if (!family_.rope_local_base_freq) {
      scalings.push_back(flat(rope));
      return;
    }
    for (const auto& [key, value] : rope.value().items()) {
      if (key == "full_attention" || key == "sliding_attention") continue;
      fail("cfg.unsupported", rope.pointer_to(escape_untrusted(key)),
           "full_attention and sliding_attention alone", describe_json(value));
    }
    if (rope.has("full_attention")) scalings.push_back(flat(rope.object("full_attention")));
    if (!rope.has("sliding_attention")) return;
    const JsonObject local = flat(rope.object("sliding_attention"));
    if (type_of(local) != "default")
      fail("cfg.unsupported", local.pointer_to("rope_type"), "default",
           "\"" + escape_untrusted(type_of(local)) + "\"");
    number_in(&local, "rope_theta", c_.rope_local_base_freq, local_in_);
  }

  void read_partial(const std::vector<JsonObject>& scalings) {
    double partial = 1.0;
    std::string partial_in;
    number_in(&o_, "partial_rotary_factor", partial, partial_in);
    for (const JsonObject& s : scalings) number_in(&s, "partial_rotary_factor", partial, partial_in);
    if (partial == 1.0) return;
    if (!family_.long_rope)
      fail("cfg.unsupported", partial_in, "1", std::to_string(partial),
           "Partial rotary embeddings are not supported for " + std::string(family_.architecture));
    if (!(partial > 0) || partial > 1)
      fail("cfg.range", partial_in, "above 0, at most 1", std::to_string(partial));
    c_.rotary_dim = static_cast<std::int64_t>(static_cast<double>(c_.head_dim) * partial);
    if (c_.rotary_dim == 0) fail("cfg.range", partial_in, "at least two rotated values a head", "none");
  }

  void read_scaling(const std::vector<JsonObject>& scalings, const std::string& type) {
    RopeScaling& r = c_.rope_scaling;
    if (type == "default") return;
    // Phi-3's first files called it "su", and later ones "yarn", which is another thing elsewhere.
    const bool long_rope = family_.long_rope && (type == "longrope" || type == "su" || type == "yarn");
    if (long_rope) return read_long_rope(scalings);
    if (!family_.long_rope && type == "linear") {
      r.type = RopeScaling::Type::linear;
    } else if (!family_.long_rope && type == "llama3") {
      r.type = RopeScaling::Type::llama3;
    } else {
      fail("cfg.unsupported", scalings.front().pointer_to("rope_type"),
           family_.long_rope ? "default or longrope" : "default, linear or llama3",
           "\"" + escape_untrusted(type) + "\"", "Ignoring it would give wrong text quietly");
    }
    r.factor = required(scalings, "factor");
    if (r.type != RopeScaling::Type::llama3) return;
    r.low_freq_factor = required(scalings, "low_freq_factor");
    r.high_freq_factor = required(scalings, "high_freq_factor");
    r.original_max_position_embeddings = original_context(scalings);
  }

  // HF: _compute_longrope_parameters.
  void read_long_rope(const std::vector<JsonObject>& scalings) {
    RopeScaling& r = c_.rope_scaling;
    r.type = RopeScaling::Type::longrope;
    r.original_max_position_embeddings = original_context(scalings);
    r.short_factor = factors(first_with(scalings, "short_factor"), "short_factor");
    r.long_factor = factors(first_with(scalings, "long_factor"), "long_factor");
    const auto original = static_cast<double>(r.original_max_position_embeddings);
    r.factor = static_cast<double>(c_.max_position_embeddings) / original;
    if (first_with(scalings, "factor").has("factor")) r.factor = required(scalings, "factor");
    if (first_with(scalings, "attention_factor").has("attention_factor")) {
      r.attention_factor = required(scalings, "attention_factor");
    } else if (r.factor > 1) {
      r.attention_factor = std::sqrt(1 + std::log(r.factor) / std::log(original));
    }
  }

  std::vector<float> factors(const JsonObject& scaling, const char* key) const {
    const Json& list = scaling.at(key);
    const auto wanted = static_cast<size_t>(c_.rotary_size() / 2);
    const auto is_number = [](const Json& v) { return v.is_number(); };
    if (!list.is_array() || list.size() != wanted || !std::all_of(list.begin(), list.end(), is_number)) {
      fail("cfg.range", scaling.pointer_to(key),
           std::to_string(wanted) + " numbers, one for each rotated pair", describe_json(list));
    }
    return list.get<std::vector<float>>();
  }

  // Stands beside the factors or, in files of some tools, at the top; transformers 5 takes the model's own
  // context where it stands nowhere.
  std::int64_t original_context(std::vector<JsonObject> places) const {
    constexpr const char* kKey = "original_max_position_embeddings";
    places.push_back(o_);
    const JsonObject& first = first_with(places, kKey);
    if (!first.has(kKey)) return family_.long_rope ? kOriginalPhi3 : c_.max_position_embeddings;
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
  const Family& family_;
  ModelConfig& c_;
  std::string local_in_;  // where the base of sliding layers was read
};

}  // namespace

void read_hf_rope(const JsonObject& config, const Family& family, ModelConfig& c) {
  RopeReader(config, family, c).read();
}

}  // namespace safetylock
