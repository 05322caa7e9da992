// Writes GGUF files byte by byte for tests, sound ones and broken ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace safetylock::test {

/// Little-endian bytes of a number.
template <typename T>
std::string bytes_of(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

template <typename T>
std::string bytes_of_all(const std::vector<T>& values) {
  std::string out(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
  return out;
}

class GgufBuilder {
 public:
  // Value types of the format.
  enum : std::uint32_t {
    kU32 = 4,
    kI32 = 5,
    kF32 = 6,
    kBool = 7,
    kString = 8,
    kArray = 9,
    kU64 = 10,
    kI64 = 11
  };

  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> shape;  ///< outermost first
    std::uint32_t type;
    std::string data;
    std::optional<std::uint64_t> offset;  ///< instead of the next free place
  };

  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;
  std::optional<std::uint64_t> tensor_count, metadata_count;  ///< instead of the true ones
  std::vector<Tensor> tensors;
  std::string trailing;  ///< after the last tensor

  static std::string text(std::string_view s) { return bytes_of(std::uint64_t{s.size()}) + std::string(s); }

  /// Any value: `type` is the format's number, `value` the bytes after it.
  GgufBuilder& raw(std::string_view key, std::uint32_t type, std::string_view value) {
    metadata_.push_back(text(key) + bytes_of(type) + std::string(value));
    return *this;
  }
  GgufBuilder& string(std::string_view key, std::string_view v) { return raw(key, kString, text(v)); }
  GgufBuilder& u32(std::string_view key, std::uint32_t v) { return raw(key, kU32, bytes_of(v)); }
  GgufBuilder& f32(std::string_view key, float v) { return raw(key, kF32, bytes_of(v)); }
  GgufBuilder& boolean(std::string_view key, bool v) {
    return raw(key, kBool, std::string(1, v ? '\1' : '\0'));
  }
  GgufBuilder& strings(std::string_view key, const std::vector<std::string>& values) {
    std::string body = bytes_of(std::uint32_t{kString}) + bytes_of(std::uint64_t{values.size()});
    for (const std::string& v : values) body += text(v);
    return raw(key, kArray, body);
  }
  GgufBuilder& i32s(std::string_view key, const std::vector<std::int32_t>& values) {
    return raw(key, kArray,
               bytes_of(std::uint32_t{kI32}) + bytes_of(std::uint64_t{values.size()}) + bytes_of_all(values));
  }
  GgufBuilder& f32s(std::string_view key, const std::vector<float>& values) {
    return raw(key, kArray,
               bytes_of(std::uint32_t{kF32}) + bytes_of(std::uint64_t{values.size()}) + bytes_of_all(values));
  }
  /// Drops the entry of `key`.
  GgufBuilder& remove(std::string_view key) {
    std::erase_if(metadata_, [&](const std::string& entry) { return entry.starts_with(text(key)); });
    return *this;
  }
  GgufBuilder& tensor(std::string name, std::vector<std::uint64_t> shape, const std::vector<float>& values) {
    tensors.push_back({std::move(name), std::move(shape), 0, bytes_of_all(values), std::nullopt});
    return *this;
  }
  Tensor& at(std::string_view name) {
    for (Tensor& t : tensors) {
      if (t.name == name) return t;
    }
    std::abort();
  }
  GgufBuilder& remove_tensor(std::string_view name) {
    std::erase_if(tensors, [&](const Tensor& t) { return t.name == name; });
    return *this;
  }

  std::string build() const {
    std::string out = magic + bytes_of(version) + bytes_of(tensor_count.value_or(tensors.size())) +
                      bytes_of(metadata_count.value_or(metadata_.size()));
    for (const std::string& entry : metadata_) out += entry;
    std::string data;
    for (const Tensor& t : tensors) {
      data.resize((data.size() + alignment - 1) / alignment * alignment, '\0');
      out += text(t.name) + bytes_of(static_cast<std::uint32_t>(t.shape.size()));
      for (auto it = t.shape.rbegin(); it != t.shape.rend(); ++it) out += bytes_of(*it);
      out += bytes_of(t.type) + bytes_of(t.offset.value_or(data.size()));
      data += t.data;
    }
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out + data + trailing;
  }

 private:
  std::vector<std::string> metadata_;
};

/// Sizes of the tiny models below.
struct TinyDims {
  std::uint64_t layers = 2, hidden = 8, inner = 12, heads = 2, kv_heads = 1, head_dim = 4, vocab = 10;
};

/// Distinct values: `seed` and the flat index can be read off each.
inline std::vector<float> tiny_values(std::uint64_t count, float seed) {
  std::vector<float> v(count);
  for (std::uint64_t i = 0; i < count; ++i) v[i] = seed + static_cast<float>(i) / 4096.0F;
  return v;
}

/// A whole F32 model of architecture "llama" or "qwen2" with `TinyDims`, rows as llama.cpp's converter would
/// write them.
inline GgufBuilder tiny_gguf(const std::string& arch, const TinyDims& d = {}) {
  GgufBuilder b;
  const auto n = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  b.string("general.architecture", arch)
      .u32(arch + ".block_count", n(d.layers))
      .u32(arch + ".context_length", 64);
  b.u32(arch + ".embedding_length", n(d.hidden)).u32(arch + ".feed_forward_length", n(d.inner));
  b.u32(arch + ".attention.head_count", n(d.heads)).u32(arch + ".attention.head_count_kv", n(d.kv_heads));
  b.f32(arch + ".attention.layer_norm_rms_epsilon", 1e-5F).f32(arch + ".rope.freq_base", 10000.0F);
  b.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
  float seed = 0;
  const auto add = [&](const std::string& name, std::vector<std::uint64_t> shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t e : shape) count *= e;
    b.tensor(name, std::move(shape), tiny_values(count, ++seed));
  };
  const std::uint64_t q = d.heads * d.head_dim, kv = d.kv_heads * d.head_dim;
  add("token_embd.weight", {d.vocab, d.hidden});
  for (std::uint64_t layer = 0; layer < d.layers; ++layer) {
    const std::string p = "blk." + std::to_string(layer) + ".";
    add(p + "attn_norm.weight", {d.hidden});
    add(p + "ffn_down.weight", {d.hidden, d.inner});
    add(p + "ffn_gate.weight", {d.inner, d.hidden});
    add(p + "ffn_up.weight", {d.inner, d.hidden});
    add(p + "ffn_norm.weight", {d.hidden});
    add(p + "attn_q.weight", {q, d.hidden});
    add(p + "attn_k.weight", {kv, d.hidden});
    add(p + "attn_v.weight", {kv, d.hidden});
    add(p + "attn_output.weight", {d.hidden, q});
    if (arch == "qwen2") {
      add(p + "attn_q.bias", {q});
      add(p + "attn_k.bias", {kv});
      add(p + "attn_v.bias", {kv});
    }
  }
  add("output_norm.weight", {d.hidden});
  if (arch == "qwen2") add("output.weight", {d.vocab, d.hidden});
  return b;
}

}  // namespace safetylock::test
