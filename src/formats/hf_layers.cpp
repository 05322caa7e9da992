#include "formats/hf_layers.h"

#include <algorithm>

#include "formats/config_limits.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

class LayerReader {
 public:
  LayerReader(const JsonObject& config, const Family& family, ModelConfig& c)
      : o_(config), family_(family), c_(c) {}

  void read() {
    read_rotation();
    const std::int64_t window = sliding_window();
    std::vector<bool> sliding = o_.has("layer_types") ? stated_layers() : default_layers(window > 0);
    if (std::find(sliding.begin(), sliding.end(), true) == sliding.end()) return;
    if (window == 0) {
      fail("cfg.conflict", "/layer_types", "full_attention in every layer, as no sliding window is set",
           "sliding_attention");
    }
    c_.sliding_window = window;
    c_.sliding_layers = std::move(sliding);
  }

 private:
  using Sliding = Family::Sliding;

  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, o_.file(), where, expected, found, hint});
  }
  size_t layers() const { return static_cast<size_t>(c_.num_hidden_layers); }
  /// The family's default holds where the key is left out; a null says that there is no window.
  std::int64_t sliding_window() const {
    const bool stated = o_.value().contains("sliding_window");
    if (family_.sliding == Sliding::none) {
      if (o_.has("sliding_window")) unsupported("sliding_window", "attention over the whole context");
      return 0;
    }
    if (family_.sliding == Sliding::use_sliding_window && !o_.boolean_or("use_sliding_window", false))
      return 0;
    if (!stated) return family_.defaults.sliding_window;
    return o_.has("sliding_window") ? o_.integer("sliding_window", 1, limits::kContext) : 0;
  }

  std::vector<bool> stated_layers() const {
    const Json& types = o_.at("layer_types");
    if (!types.is_array() || types.size() != layers()) {
      fail("cfg.layers", "/layer_types", "a list of " + std::to_string(layers()) + " kinds",
           describe_json(types));
    }
    std::vector<bool> sliding;
    for (const Json& type : types) {
      const bool slides = is_text(type, "sliding_attention");
      if (!slides && !is_text(type, "full_attention"))
        fail("cfg.unsupported", "/layer_types", "full_attention or sliding_attention", describe_json(type));
      sliding.push_back(slides);
    }
    // transformers does not look at the list of these, and other engines do.
    const bool all_alike = std::equal(sliding.begin() + 1, sliding.end(), sliding.begin());
    if (family_.sliding == Sliding::none && (!all_alike || sliding.front()))
      unsupported("layer_types", "full_attention in every layer");
    if (family_.sliding == Sliding::all && (!all_alike || sliding.front() != (sliding_window() > 0)))
      unsupported("layer_types",
                  "the same kind in every layer, sliding_attention where sliding_window is set");
    return sliding;
  }

  std::vector<bool> default_layers(bool has_window) const {
    std::vector<bool> sliding(layers(), family_.sliding == Sliding::all && has_window);
    if (family_.sliding == Sliding::use_sliding_window && has_window) {
      if (family_.no_rope_layer_interval) return c_.layers_without_rope;  // HF: SmolLM3Config
      const std::int64_t first = o_.integer_or("max_window_layers", 28, 0, limits::kLayers);
      for (size_t i = static_cast<size_t>(first); i < sliding.size(); ++i) sliding[i] = true;
    }
    if (family_.sliding == Sliding::alternate || family_.sliding == Sliding::pattern) {
      const auto period =
          static_cast<size_t>(family_.sliding == Sliding::alternate
                                  ? 2
                                  : o_.integer_or("sliding_window_pattern", 6, 1, limits::kLayers));
      for (size_t i = 0; i < sliding.size(); ++i) sliding[i] = (i + 1) % period != 0;
    }
    return sliding;
  }

  /// HF: no_rope_layers holds 1 where a layer rotates, 0 where it does not.
  void read_rotation() {
    if (!family_.no_rope_layer_interval) return;
    std::vector<bool> without(layers());
    if (o_.has("no_rope_layers")) {
      const Json& list = o_.at("no_rope_layers");
      const auto is_flag = [](const Json& v) { return v.is_number_unsigned() && (v == 0 || v == 1); };
      if (!list.is_array() || list.size() < layers() || !std::all_of(list.begin(), list.end(), is_flag)) {
        fail("cfg.layers", "/no_rope_layers",
             "a list of 0 and 1 for each of " + std::to_string(layers()) + " layers", describe_json(list));
      }
      for (size_t i = 0; i < layers(); ++i) without[i] = list[i] == 0;
    } else {
      const auto every = static_cast<size_t>(
          o_.integer_or("no_rope_layer_interval", *family_.no_rope_layer_interval, 1, limits::kLayers));
      for (size_t i = 0; i < layers(); ++i) without[i] = (i + 1) % every == 0;
    }
    c_.layers_without_rope = std::move(without);
  }

  [[noreturn]] void unsupported(const std::string& key, const std::string& expected) const {
    fail("cfg.unsupported", "/" + key, expected, describe_json(o_.at(key)));
  }

  const JsonObject& o_;
  const Family& family_;
  ModelConfig& c_;
};

}  // namespace

void read_hf_layers(const JsonObject& config, const Family& family, ModelConfig& c) {
  LayerReader(config, family, c).read();
}

}  // namespace safetylock
