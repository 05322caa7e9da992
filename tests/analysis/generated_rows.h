// The rows that scripts/make_golden_probes.py made, bit for bit, and its results.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace safetylock::test {

/// Sums of four uniform integers in [-2^15, 2^15): splitmix64 at counters seed * 2^32 + i.
inline std::vector<std::int64_t> generated_integers(std::uint64_t seed, std::int64_t count) {
  std::vector<std::int64_t> out(static_cast<size_t>(count));
  std::uint64_t counter = seed << 32;
  for (std::int64_t& sum : out) {
    for (int k = 0; k < 4; ++k) {
      std::uint64_t z = ++counter * 0x9E3779B97F4A7C15U;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
      z ^= z >> 31;
      sum += static_cast<std::int64_t>(z >> 48) - (1 << 15);
    }
  }
  return out;
}

struct GeneratedRows {
  at::Tensor values;  ///< [n, heads, dim] float64
  at::Tensor labels;  ///< [n]: row i has label 1 - i % 2
};

inline GeneratedRows generated_rows(const std::string& kind, std::uint64_t seed, std::int64_t n,
                                    std::int64_t heads, std::int64_t dim, std::int64_t shift) {
  const std::vector<std::int64_t> raw = generated_integers(seed, n * heads * dim);
  const at::Tensor labels = 1 - at::arange(n, at::kLong) % 2;
  at::Tensor z = at::tensor(raw, at::kDouble).view({n, heads, dim});
  z = z + static_cast<double>(shift) * (2 * labels - 1).view({n, 1, 1});
  const at::Tensor j = at::arange(dim, at::kDouble);
  at::Tensor values;
  if (kind == "plain") values = z * 0x1p-15;
  if (kind == "big") values = z * 0x1p-8;
  if (kind == "small") values = z * 0x1p-19;
  if (kind == "scales") values = z * at::exp2(j.remainder(21) - 25);
  if (kind == "offset") values = z * 0x1p-15 + 100 * (j + 1);
  if (kind == "chain") values = at::cumsum(z * at::where(j == 0, 1024.0, 1.0), 2) * 0x1p-22;
  return {values, labels};
}

inline nlohmann::json probe_golden() {
  std::ifstream file(SAFETYLOCK_SOURCE_DIR "/tests/golden/analysis/probes.json");
  return nlohmann::json::parse(file);
}

}  // namespace safetylock::test
