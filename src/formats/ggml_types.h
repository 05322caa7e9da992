// The block formats of GGML: sizes, and exact dequantisation.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace safetylock {

/// Numbers as in the file format.
enum class GgmlType : std::uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  BF16 = 30,
};

struct GgmlTypeTraits {
  const char* name;
  std::uint32_t block_elements;  ///< values in one block; row lengths are multiples of it
  std::uint32_t block_bytes;
};

/// Nothing for a number that is unknown or not supported; `ggml_type_name` names those too, for error texts.
std::optional<GgmlTypeTraits> ggml_traits(std::uint32_t type) noexcept;
std::string ggml_type_name(std::uint32_t type);
/// "F32, F16, BF16, Q4_0 ...": for error texts.
std::string supported_ggml_types();

/// Dequantises whole blocks: `in.size() == n * block_bytes`, `out.size() == n * block_elements`. Bit-equal to
/// the Python package gguf's `quants.dequantize` (this file is compiled with -ffp-contract=off).
void ggml_dequantize(GgmlType type, std::span<const std::byte> in, std::span<float> out);

}  // namespace safetylock
