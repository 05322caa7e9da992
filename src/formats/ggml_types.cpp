// Compiled with -ffp-contract=off: a fused multiply-add would round once where the oracle rounds twice.
// Loops run over fixed counts of one block so that the compiler vectorises them.
#include "formats/ggml_types.h"

#include <array>
#include <bit>
#include <cstring>
#include <string_view>

#include "safetylock/error.h"

namespace safetylock {
namespace {

struct TypeRow {
  std::uint32_t number;
  GgmlTypeTraits traits;
  bool supported;
};

// Numbers, names and sizes of ggml.h. The unsupported ones are named so that an error can say what a file
// holds.
constexpr std::array kTypes = {
    TypeRow{0, {"F32", 1, 4}, true},          TypeRow{1, {"F16", 1, 2}, true},
    TypeRow{2, {"Q4_0", 32, 18}, true},       TypeRow{3, {"Q4_1", 32, 20}, true},
    TypeRow{6, {"Q5_0", 32, 22}, true},       TypeRow{7, {"Q5_1", 32, 24}, true},
    TypeRow{8, {"Q8_0", 32, 34}, true},       TypeRow{9, {"Q8_1", 32, 40}, false},
    TypeRow{10, {"Q2_K", 256, 84}, true},     TypeRow{11, {"Q3_K", 256, 110}, true},
    TypeRow{12, {"Q4_K", 256, 144}, true},    TypeRow{13, {"Q5_K", 256, 176}, true},
    TypeRow{14, {"Q6_K", 256, 210}, true},    TypeRow{15, {"Q8_K", 256, 292}, false},
    TypeRow{16, {"IQ2_XXS", 256, 66}, false}, TypeRow{17, {"IQ2_XS", 256, 74}, false},
    TypeRow{18, {"IQ3_XXS", 256, 98}, false}, TypeRow{19, {"IQ1_S", 256, 50}, false},
    TypeRow{20, {"IQ4_NL", 32, 18}, false},   TypeRow{21, {"IQ3_S", 256, 110}, false},
    TypeRow{22, {"IQ2_S", 256, 82}, false},   TypeRow{23, {"IQ4_XS", 256, 136}, false},
    TypeRow{24, {"I8", 1, 1}, false},         TypeRow{25, {"I16", 1, 2}, false},
    TypeRow{26, {"I32", 1, 4}, false},        TypeRow{27, {"I64", 1, 8}, false},
    TypeRow{28, {"F64", 1, 8}, false},        TypeRow{29, {"IQ1_M", 256, 56}, false},
    TypeRow{30, {"BF16", 1, 2}, true},        TypeRow{34, {"TQ1_0", 256, 54}, false},
    TypeRow{35, {"TQ2_0", 256, 66}, false},   TypeRow{39, {"MXFP4", 32, 17}, false},
    TypeRow{40, {"NVFP4", 64, 36}, false},
};

const TypeRow* find_row(std::uint32_t type) noexcept {
  for (const TypeRow& row : kTypes) {
    if (row.number == type) return &row;
  }
  return nullptr;
}

using Byte = std::uint8_t;

// Branch-free, so that loops over it vectorise (method of the FP16 library: rescale normal numbers, and let a
// float subtraction normalise the subnormal ones).
inline float half_to_float(std::uint16_t h) {
  const std::uint32_t w = static_cast<std::uint32_t>(h) << 16;
  const std::uint32_t sign = w & 0x80000000U;
  const std::uint32_t twice = w + w;
  const float normal = std::bit_cast<float>((twice >> 4) + (0xE0U << 23)) * 0x1.0p-112F;
  const float subnormal = std::bit_cast<float>((twice >> 17) | (126U << 23)) - 0.5F;
  const std::uint32_t magnitude =
      twice < (1U << 27) ? std::bit_cast<std::uint32_t>(subnormal) : std::bit_cast<std::uint32_t>(normal);
  return std::bit_cast<float>(sign | magnitude);
}

inline std::uint16_t load_u16(const Byte* p) {
  return static_cast<std::uint16_t>(p[0] | (p[1] << 8));
}
inline float load_half(const Byte* p) {
  return half_to_float(load_u16(p));
}

void f32_block(const Byte* in, float* out) {
  std::memcpy(out, in, sizeof(float));
}
void f16_block(const Byte* in, float* out) {
  *out = load_half(in);
}
void bf16_block(const Byte* in, float* out) {
  *out = std::bit_cast<float>(static_cast<std::uint32_t>(load_u16(in)) << 16);
}

void q4_0_block(const Byte* in, float* out) {
  const float d = load_half(in);
  const Byte* qs = in + 2;
  for (int j = 0; j < 16; ++j) out[j] = d * static_cast<float>((qs[j] & 15) - 8);
  for (int j = 0; j < 16; ++j) out[j + 16] = d * static_cast<float>((qs[j] >> 4) - 8);
}

void q4_1_block(const Byte* in, float* out) {
  const float d = load_half(in);
  const float m = load_half(in + 2);
  const Byte* qs = in + 4;
  for (int j = 0; j < 16; ++j) out[j] = d * static_cast<float>(qs[j] & 15) + m;
  for (int j = 0; j < 16; ++j) out[j + 16] = d * static_cast<float>(qs[j] >> 4) + m;
}

// The 32 fifth bits of a Q5_0/Q5_1 block, as 0 or 16.
std::array<Byte, 32> fifth_bits(const Byte* in) {
  std::array<Byte, 32> high{};
  for (size_t j = 0; j < 32; ++j) high[j] = static_cast<Byte>(((in[j / 8] >> (j % 8)) & 1) << 4);
  return high;
}

void q5_0_block(const Byte* in, float* out) {
  const float d = load_half(in);
  const std::array<Byte, 32> high = fifth_bits(in + 2);
  const Byte* qs = in + 6;
  for (size_t j = 0; j < 16; ++j) out[j] = d * static_cast<float>(((qs[j] & 15) | high[j]) - 16);
  for (size_t j = 0; j < 16; ++j) out[j + 16] = d * static_cast<float>(((qs[j] >> 4) | high[j + 16]) - 16);
}

void q5_1_block(const Byte* in, float* out) {
  const float d = load_half(in);
  const float m = load_half(in + 2);
  const std::array<Byte, 32> high = fifth_bits(in + 4);
  const Byte* qs = in + 8;
  for (size_t j = 0; j < 16; ++j) out[j] = d * static_cast<float>((qs[j] & 15) | high[j]) + m;
  for (size_t j = 0; j < 16; ++j) out[j + 16] = d * static_cast<float>((qs[j] >> 4) | high[j + 16]) + m;
}

void q8_0_block(const Byte* in, float* out) {
  const float d = load_half(in);
  for (int j = 0; j < 32; ++j) out[j] = static_cast<float>(static_cast<std::int8_t>(in[2 + j])) * d;
}

// K-quants: 256 values in 8 groups of 32 (or 16 of 16), each with its own small scale under a shared half
// scale.

void q2_k_block(const Byte* in, float* out) {
  const Byte* scales = in;
  const Byte* qs = in + 16;
  const float d = load_half(in + 80);
  const float dmin = load_half(in + 82);
  for (int group = 0; group < 16; ++group) {
    const float dl = d * static_cast<float>(scales[group] & 15);
    const float ml = dmin * static_cast<float>(scales[group] >> 4);
    const Byte* q = qs + (group / 8) * 32 + (group % 2) * 16;
    const int shift = 2 * ((group / 2) % 4);
    float* o = out + group * 16;
    for (int j = 0; j < 16; ++j) o[j] = dl * static_cast<float>((q[j] >> shift) & 3) - ml;
  }
}

void q3_k_block(const Byte* in, float* out) {
  const Byte* hmask = in;
  const Byte* qs = in + 32;
  const Byte* scales = in + 96;
  const float d = load_half(in + 108);
  for (int group = 0; group < 16; ++group) {
    const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    const int high = (scales[8 + group % 4] >> (2 * (group / 4))) & 3;
    const float dl = d * static_cast<float>((low | (high << 4)) - 32);
    const Byte* q = qs + (group / 8) * 32 + (group % 2) * 16;
    const Byte* h = hmask + (group % 2) * 16;
    const int shift = 2 * ((group / 2) % 4);
    const int bit = group / 2;
    float* o = out + group * 16;
    // A set mask bit means "no offset".
    for (int j = 0; j < 16; ++j) {
      o[j] = dl * static_cast<float>(((q[j] >> shift) & 3) - 4 + (((h[j] >> bit) & 1) << 2));
    }
  }
}

// 6-bit scales and minimums of Q4_K and Q5_K, packed in 12 bytes.
struct ScaleMin {
  std::array<float, 8> scale;
  std::array<float, 8> min;
};

ScaleMin scale_min(const Byte* in, float d, float dmin) {
  ScaleMin r{};
  for (size_t k = 0; k < 8; ++k) {
    const int sc = k < 4 ? in[k] & 63 : (in[k + 4] & 15) | ((in[k - 4] >> 2) & 0x30);
    const int mn = k < 4 ? in[k + 4] & 63 : (in[k + 4] >> 4) | ((in[k] >> 2) & 0x30);
    r.scale[k] = d * static_cast<float>(sc);
    r.min[k] = dmin * static_cast<float>(mn);
  }
  return r;
}

void q4_k_block(const Byte* in, float* out) {
  const ScaleMin sm = scale_min(in + 4, load_half(in), load_half(in + 2));
  const Byte* qs = in + 16;
  for (size_t pair = 0; pair < 4; ++pair, qs += 32, out += 64) {
    const float d0 = sm.scale[2 * pair], m0 = sm.min[2 * pair];
    const float d1 = sm.scale[2 * pair + 1], m1 = sm.min[2 * pair + 1];
    for (int j = 0; j < 32; ++j) out[j] = d0 * static_cast<float>(qs[j] & 15) - m0;
    for (int j = 0; j < 32; ++j) out[j + 32] = d1 * static_cast<float>(qs[j] >> 4) - m1;
  }
}

void q5_k_block(const Byte* in, float* out) {
  const ScaleMin sm = scale_min(in + 4, load_half(in), load_half(in + 2));
  const Byte* qh = in + 16;
  const Byte* qs = in + 48;
  for (size_t group = 0; group < 8; ++group, out += 32) {
    const Byte* q = qs + (group / 2) * 32;
    const int shift = group % 2 == 0 ? 0 : 4;
    const int bit = static_cast<int>(group);
    const float d = sm.scale[group], m = sm.min[group];
    for (int j = 0; j < 32; ++j) {
      out[j] = d * static_cast<float>(((q[j] >> shift) & 15) | (((qh[j] >> bit) & 1) << 4)) - m;
    }
  }
}

void q6_k_block(const Byte* in, float* out) {
  const Byte* ql = in;
  const Byte* qh = in + 128;
  const Byte* scales = in + 192;
  const float d = load_half(in + 208);
  for (int group = 0; group < 16; ++group) {
    const int half = group / 8;     // of 128 values
    const int in_half = group % 8;  // group of 16 within it
    const float dl = d * static_cast<float>(static_cast<std::int8_t>(scales[group]));
    const Byte* l = ql + half * 64 + (in_half % 4) * 16;
    const Byte* h = qh + half * 32 + (in_half % 2) * 16;
    const int low_shift = 4 * (in_half / 4);
    const int high_shift = 2 * (in_half / 2);
    float* o = out + group * 16;
    for (int j = 0; j < 16; ++j) {
      const int q = ((l[j] >> low_shift) & 15) | (((h[j] >> high_shift) & 3) << 4);
      o[j] = dl * static_cast<float>(q - 32);
    }
  }
}

template <std::uint32_t kElements, std::uint32_t kBytes, typename Block>
void each_block(const Byte* in, float* out, size_t blocks, Block block) {
  for (size_t i = 0; i < blocks; ++i) block(in + i * kBytes, out + i * kElements);
}

}  // namespace

std::optional<GgmlTypeTraits> ggml_traits(std::uint32_t type) noexcept {
  const TypeRow* row = find_row(type);
  if (row == nullptr || !row->supported) return std::nullopt;
  return row->traits;
}

std::string ggml_type_name(std::uint32_t type) {
  const TypeRow* row = find_row(type);
  return (row == nullptr ? std::string("unknown type") : std::string(row->traits.name)) + " (number " +
         std::to_string(type) + ")";
}

std::string supported_ggml_types() {
  std::string names;
  for (const TypeRow& row : kTypes) {
    if (row.supported) names += (names.empty() ? "" : ", ") + std::string(row.traits.name);
  }
  return names;
}

void ggml_dequantize(GgmlType type, std::span<const std::byte> in, std::span<float> out) {
  const auto traits = ggml_traits(static_cast<std::uint32_t>(type));
  if (!traits || in.size() % traits->block_bytes != 0 ||
      in.size() / traits->block_bytes * traits->block_elements != out.size()) {
    throw Error({"arg.shape", "", "ggml_dequantize",
                 "whole blocks of a supported type and room for their values",
                 std::to_string(in.size()) + " bytes of " + ggml_type_name(static_cast<std::uint32_t>(type)) +
                     ", room for " + std::to_string(out.size()) + " values",
                 ""});
  }
  const Byte* from = reinterpret_cast<const Byte*>(in.data());
  const size_t n = in.size() / traits->block_bytes;
  switch (type) {
    case GgmlType::F32:
      return each_block<1, 4>(from, out.data(), n, f32_block);
    case GgmlType::F16:
      return each_block<1, 2>(from, out.data(), n, f16_block);
    case GgmlType::BF16:
      return each_block<1, 2>(from, out.data(), n, bf16_block);
    case GgmlType::Q4_0:
      return each_block<32, 18>(from, out.data(), n, q4_0_block);
    case GgmlType::Q4_1:
      return each_block<32, 20>(from, out.data(), n, q4_1_block);
    case GgmlType::Q5_0:
      return each_block<32, 22>(from, out.data(), n, q5_0_block);
    case GgmlType::Q5_1:
      return each_block<32, 24>(from, out.data(), n, q5_1_block);
    case GgmlType::Q8_0:
      return each_block<32, 34>(from, out.data(), n, q8_0_block);
    case GgmlType::Q2_K:
      return each_block<256, 84>(from, out.data(), n, q2_k_block);
    case GgmlType::Q3_K:
      return each_block<256, 110>(from, out.data(), n, q3_k_block);
    case GgmlType::Q4_K:
      return each_block<256, 144>(from, out.data(), n, q4_k_block);
    case GgmlType::Q5_K:
      return each_block<256, 176>(from, out.data(), n, q5_k_block);
    case GgmlType::Q6_K:
      return each_block<256, 210>(from, out.data(), n, q6_k_block);
  }
}

}  // namespace safetylock
