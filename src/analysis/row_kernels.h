// The passes over a head's rows that a probe spends its time in, compiled for more than one instruction set.
//
// A call's result depends on its arguments and the machine's instruction set only, never on the number of
// threads.
#pragma once

#include <cstdint>
#include <span>

namespace safetylock {

/// Row lengths are padded with zeros to a multiple of this, so that the kernels have no tails.
constexpr std::int64_t kRowPadding = 8;

constexpr std::int64_t padded_row_length(std::int64_t dim) {
  return (dim + kRowPadding - 1) / kRowPadding * kRowPadding;
}

/// Some rows of a row-major matrix: those named by `index`. A view; copies nothing.
struct RowView {
  const double* values = nullptr;
  std::span<const std::int64_t> index;
  std::int64_t dim = 0;  ///< length of a row, padding included: a multiple of kRowPadding

  std::int64_t count() const noexcept { return static_cast<std::int64_t>(index.size()); }
  const double* row(std::int64_t i) const noexcept { return values + index[static_cast<size_t>(i)] * dim; }
  RowView slice(std::int64_t begin, std::int64_t n) const noexcept {
    return {values, index.subspan(static_cast<size_t>(begin), static_cast<size_t>(n)), dim};
  }
};

/// out[i] = row i . w + offset
void multiply_rows(const RowView& rows, const double* w, double offset, double* out);

/// out[j] += sum over i of weights[i] * row i [j]
void accumulate_rows(const RowView& rows, const double* weights, double* out);

/// out[j] += sum over i of (row i [j] - centre[j])^2
void accumulate_squares(const RowView& rows, const double* centre, double* out);

/// out[j, k] += sum over i of weights[i] * row i [j] * row i [k] for k <= j, at out[j * stride + k]. Entries
/// above the diagonal, up to column dim, are left unspecified.
void accumulate_gram(const RowView& rows, const double* weights, double* out, std::int64_t stride);

/// a . b over n values
double dot_product(const double* a, const double* b, std::int64_t n);

/// out[i] = 1 / (1 + exp(-z[i])), within 4 units in the last place; below 1e-307 it may be anything up to
/// that.
void sigmoids(const double* z, std::int64_t n, double* out);

}  // namespace safetylock
