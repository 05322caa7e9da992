#include <algorithm>

#include "safetylock/ablation.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

template <typename T>
T reference_of(const std::vector<T>& values, T usual, const char* factor) {
  if (values.empty())
    throw Error({.code = "arg.range", .where = factor, .expected = "at least one value", .found = "none"});
  const bool has_usual = std::find(values.begin(), values.end(), usual) != values.end();
  return has_usual ? usual : values.front();
}

void check_positive(const std::vector<std::int64_t>& values, const char* factor) {
  for (const std::int64_t value : values) {
    if (value >= 1) continue;
    throw Error(
        {.code = "arg.range", .where = factor, .expected = "at least 1", .found = std::to_string(value)});
  }
}

AblationVariant reference(const AblationFactors& factors) {
  check_positive(factors.tokens, "tokens");
  check_positive(factors.num_heads, "num_heads");
  const AblationVariant usual;
  return {.tokens = reference_of(factors.tokens, usual.tokens, "tokens"),
          .num_heads = reference_of(factors.num_heads, usual.num_heads, "num_heads"),
          .sigma = reference_of(factors.sigma, usual.sigma, "sigma"),
          .direction = reference_of(factors.directions, usual.direction, "directions"),
          .rows = reference_of(factors.rows, usual.rows, "rows"),
          .phase = reference_of(factors.phases, usual.phase, "phases")};
}

/// Each of `variants` with each of `values` in `field`.
template <typename T>
std::vector<AblationVariant> with_each(const std::vector<AblationVariant>& variants,
                                       T AblationVariant::*field, const std::vector<T>& values) {
  std::vector<AblationVariant> out;
  for (AblationVariant variant : variants) {
    for (const T value : values) {
      variant.*field = value;
      out.push_back(variant);
    }
  }
  return out;
}

void add_new(std::vector<AblationVariant>& variants, const std::vector<AblationVariant>& more) {
  for (const AblationVariant& variant : more) {
    if (std::find(variants.begin(), variants.end(), variant) == variants.end()) variants.push_back(variant);
  }
}

}  // namespace

const char* to_string(DirectionKind kind) noexcept {
  return kind == DirectionKind::mean_difference ? "mean-difference" : "probe-weight";
}

const char* to_string(RowKind kind) noexcept {
  return kind == RowKind::token ? "token" : "mean";
}

const char* to_string(Phase phase) noexcept {
  if (phase == Phase::both) return "both";
  return phase == Phase::prompt ? "prompt" : "reply";
}

std::vector<AblationVariant> one_factor_at_a_time(const AblationFactors& factors) {
  const std::vector<AblationVariant> base = {reference(factors)};
  std::vector<AblationVariant> variants = base;
  add_new(variants, with_each(base, &AblationVariant::tokens, factors.tokens));
  add_new(variants, with_each(base, &AblationVariant::num_heads, factors.num_heads));
  add_new(variants, with_each(base, &AblationVariant::sigma, factors.sigma));
  add_new(variants, with_each(base, &AblationVariant::direction, factors.directions));
  add_new(variants, with_each(base, &AblationVariant::rows, factors.rows));
  add_new(variants, with_each(base, &AblationVariant::phase, factors.phases));
  return variants;
}

std::vector<AblationVariant> full_grid(const AblationFactors& factors) {
  std::vector<AblationVariant> variants = {reference(factors)};
  std::vector<AblationVariant> grid = variants;
  grid = with_each(grid, &AblationVariant::tokens, factors.tokens);
  grid = with_each(grid, &AblationVariant::num_heads, factors.num_heads);
  grid = with_each(grid, &AblationVariant::sigma, factors.sigma);
  grid = with_each(grid, &AblationVariant::direction, factors.directions);
  grid = with_each(grid, &AblationVariant::rows, factors.rows);
  grid = with_each(grid, &AblationVariant::phase, factors.phases);
  add_new(variants, grid);
  return variants;
}

}  // namespace safetylock
