#include "formats/gguf_rope.h"

#include <algorithm>
#include <span>

#include "formats/checkpoint_tensors.h"
#include "formats/config_limits.h"
#include "formats/gguf_parser.h"
#include "formats/gguf_reader.h"

namespace safetylock {
namespace {

constexpr const char* kLongFactors = "rope_factors_long.weight";
constexpr const char* kShortFactors = "rope_factors_short.weight";
constexpr const char* kFrequencyDivisors = "rope_freqs.weight";

class RopeReader : GgufReader {
 public:
  RopeReader(const GgufFile& file, const Family& family, ModelConfig& c)
      : GgufReader(file), family_(family), c_(c) {}

  void read() {
    c_.rope_theta = has("rope.freq_base") ? file_.number(key("rope.freq_base")) : 10000.0;
    if (has("rope.dimension_count") && integer("rope.dimension_count", limits::kHeadDim) != c_.head_dim) {
      if (!family_.long_rope) {
        fail("cfg.unsupported", key("rope.dimension_count"),
             "the head dimension, " + std::to_string(c_.head_dim),
             gguf::describe(file_.at(key("rope.dimension_count"))),
             "Partial rotary embeddings are not supported for " + arch_);
      }
      c_.rotary_dim = integer("rope.dimension_count", limits::kHeadDim);
    }
    if (family_.rope_local_base_freq) {
      c_.rope_local_base_freq =
          has("rope.freq_base_swa") ? file_.number(key("rope.freq_base_swa")) : *family_.rope_local_base_freq;
    }
    if (family_.long_rope) {
      read_long_rope();
    } else {
      read_rope_scaling();
      read_rope_divisors();
    }
  }

  // Phi-3: two sets of divisors as tensors, and what cosines and sines are multiplied by.
  void read_long_rope() {
    const bool is_long =
        file_.find_tensor(kLongFactors) != nullptr || file_.find_tensor(kShortFactors) != nullptr;
    if (!is_long) return read_rope_scaling();
    RopeScaling& r = c_.rope_scaling;
    r.type = RopeScaling::Type::longrope;
    r.short_factor = read_factors(kShortFactors);
    r.long_factor = read_factors(kLongFactors);
    r.original_max_position_embeddings = integer("rope.scaling.original_context_length", limits::kContext);
    r.factor = static_cast<double>(c_.max_position_embeddings) /
               static_cast<double>(std::max<std::int64_t>(1, r.original_max_position_embeddings));
    r.attention_factor =
        has("rope.scaling.attn_factor") ? file_.number(key("rope.scaling.attn_factor")) : 1.0;
  }

 private:
  void read_rope_scaling() {
    if (has("rope.scaling.attn_factor") && file_.number(key("rope.scaling.attn_factor")) != 1.0) {
      fail("cfg.unsupported", key("rope.scaling.attn_factor"), "1",
           gguf::describe(file_.at(key("rope.scaling.attn_factor"))));
    }
    const std::string type = has("rope.scaling.type") ? file_.string(key("rope.scaling.type")) : "";
    if (type == "linear" || (type.empty() && has("rope.scale_linear"))) {
      c_.rope_scaling.type = RopeScaling::Type::linear;
      c_.rope_scaling.factor =
          file_.number(key(has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear"));
    } else if (!type.empty() && type != "none") {
      fail("cfg.unsupported", key("rope.scaling.type"), "none or linear",
           "\"" + escape_untrusted(type) + "\"", "Ignoring it would give wrong text quietly");
    }
  }

  // llama.cpp's converter stores the llama3 rule as divisors of the inverse frequencies.
  void read_rope_divisors() {
    if (file_.find_tensor(kFrequencyDivisors) == nullptr) return;
    if (c_.rope_scaling.type != RopeScaling::Type::none) {
      fail("cfg.unsupported", "rope_freqs.weight", "one kind of rope scaling",
           "rope_freqs.weight beside rope.scaling");
    }
    c_.rope_scaling.type = RopeScaling::Type::llama3;
    c_.rope_scaling.frequency_divisors = read_factors(kFrequencyDivisors);
  }

  std::vector<float> read_factors(const char* name) {
    const GgufTensor* t = file_.find_tensor(name);
    if (t == nullptr) fail("model.tensor_missing", name, "the tensor to be there", "no such tensor");
    const std::vector<std::uint64_t> want = {static_cast<std::uint64_t>(c_.rotary_size() / 2)};
    if (t->type != GgmlType::F32 || t->shape != want) {
      fail("model.tensor_shape", name, "F32 " + shape_text(want),
           ggml_type_name(static_cast<std::uint32_t>(t->type)) + " " + shape_text(t->shape));
    }
    std::vector<float> values(want[0]);
    file_.file_of(*t).read_at(t->offset, std::as_writable_bytes(std::span(values)));
    return values;
  }

  const Family& family_;
  ModelConfig& c_;
};

}  // namespace

void read_gguf_rope(const GgufFile& file, const Family& family, ModelConfig& c) {
  RopeReader(file, family, c).read();
}

bool is_part_of_config(const ModelConfig& config, std::string_view tensor) {
  if (tensor == kFrequencyDivisors) return !config.rope_scaling.frequency_divisors.empty();
  return (tensor == kLongFactors || tensor == kShortFactors) && !config.rope_scaling.long_factor.empty();
}

}  // namespace safetylock
