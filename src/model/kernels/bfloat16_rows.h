// Rows of bfloat16 on processors that round to it by themselves (AVX512-BF16): a third of the time that the
// portable kernels take, and the same values, but that numbers below 2^-126 become 0.
#pragma once

#include <cstdint>

#include "model/torch_includes.h"

namespace safetylock {

/// Whether this host has these kernels.
bool has_bfloat16_rows();

/// sum = x + added, n values each; x and sum may be one.
void add_bfloat16_row(const at::BFloat16* x, const at::BFloat16* added, at::BFloat16* sum, std::int64_t n);

/// As normalise_row; x and out may be one.
void normalise_bfloat16_row(const at::BFloat16* x, const at::BFloat16* weight, at::BFloat16* out,
                            std::int64_t n, float eps, bool unit_offset);

/// Turns `half` pairs of values, first[i] and second[i], every product and sum rounded.
void rotate_bfloat16_pairs(at::BFloat16* first, at::BFloat16* second, const at::BFloat16* cos,
                           const at::BFloat16* sin, std::int64_t half);

/// act(gate) * up, n values each, the activation rounded.
void gate_bfloat16_row(const at::BFloat16* gates, const at::BFloat16* ups, at::BFloat16* out, std::int64_t n,
                       bool gelu);

}  // namespace safetylock
