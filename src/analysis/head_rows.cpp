#include "analysis/head_rows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "safetylock/error.h"

namespace safetylock {
namespace {

std::string shape_text(const at::Tensor& tensor) {
  std::string text = "[";
  for (const std::int64_t extent : tensor.sizes())
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

/// A head's rows lie too far apart for the processor to see the next ones coming.
constexpr std::int64_t kRowsAhead = 16;

void ask_for(const void* row, std::int64_t bytes) {
  constexpr std::int64_t kLine = 64;
  for (std::int64_t b = 0; b < bytes; b += kLine) __builtin_prefetch(static_cast<const char*>(row) + b);
}

/// n values, then zeros up to `padded`. Whether the sum is finite: it is not when any value is not.
template <typename T>
bool widen(const T* from, std::int64_t n, double* to, std::int64_t padded) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < n; ++j) {
    to[j] = static_cast<double>(from[j]);
    sum += to[j];
  }
  std::fill(to + n, to + padded, 0.0);
  return std::isfinite(sum);
}

}  // namespace

HeadValues::HeadValues(const at::Tensor& values, const char* function) {
  const bool layered = values.dim() == 4;
  if (!(values.dim() == 3 || layered) || values.numel() == 0) {
    throw Error({"arg.shape", "", std::string(function) + ": values",
                 "[N, M, D] or [N, L, H, D], none of them 0", shape_text(values), ""});
  }
  if (!values.is_floating_point()) {
    throw Error({"arg.dtype", "", std::string(function) + ": values", "a floating-point dtype",
                 std::string(values.dtype().name()), ""});
  }
  heads_per_layer_ = layered ? values.size(2) : 0;
  values_ = values.detach().to(at::kCPU);
  if (layered) values_ = values_.flatten(1, 2);
  values_ = values_.contiguous();
  rows_ = values_.size(0);
  heads_ = values_.size(1);
  dim_ = values_.size(2);
}

void HeadValues::gather(std::int64_t head, std::vector<double>& out) const {
  const std::int64_t stride = padded_row_length(dim_);
  out.resize(static_cast<size_t>(rows_ * stride));
  bool finite = true;
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, values_.scalar_type(), "gather", [&] {
    const scalar_t* from = values_.const_data_ptr<scalar_t>() + head * dim_;
    for (std::int64_t i = 0; i < rows_; ++i) {
      if (i + kRowsAhead < rows_)
        ask_for(from + (i + kRowsAhead) * heads_ * dim_, dim_ * static_cast<std::int64_t>(sizeof(scalar_t)));
      finite = widen(from + i * heads_ * dim_, dim_, out.data() + i * stride, stride) && finite;
    }
  });
  if (finite) return;
  const auto bad = std::find_if(out.begin(), out.end(), [](double x) { return !std::isfinite(x); });
  if (bad == out.end()) return;  // finite values whose sum overflows
  throw Error({"num.nonfinite", "", name(head) + ", row " + std::to_string((bad - out.begin()) / stride),
               "finite values", std::to_string(*bad),
               "The model's activations overflowed; try another dtype"});
}

std::string HeadValues::name(std::int64_t head) const {
  if (heads_per_layer_ == 0) return "head " + std::to_string(head);
  return "layer " + std::to_string(head / heads_per_layer_) + ", head " +
         std::to_string(head % heads_per_layer_);
}

std::vector<std::int64_t> checked_integers(const at::Tensor& tensor, std::int64_t rows, const char* function,
                                           const char* argument) {
  const std::string where = std::string(function) + ": " + argument;
  if (tensor.dim() != 1 || tensor.size(0) != rows) {
    throw Error(
        {"arg.shape", "", where, "[" + std::to_string(rows) + "], one a row", shape_text(tensor), ""});
  }
  if (tensor.scalar_type() != at::kLong) {
    throw Error({"arg.dtype", "", where, "int64", std::string(tensor.dtype().name()), ""});
  }
  const at::Tensor local = tensor.to(at::kCPU).contiguous();
  const std::int64_t* data = local.const_data_ptr<std::int64_t>();
  return {data, data + rows};
}

std::vector<std::int64_t> checked_labels(const at::Tensor& labels, std::int64_t rows, const char* function) {
  std::vector<std::int64_t> out = checked_integers(labels, rows, function, "labels");
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == 0 || out[i] == 1) continue;
    throw Error({"arg.range", "", std::string(function) + ": labels", "1 (safe) or 0 (unsafe)",
                 std::to_string(out[i]) + " at row " + std::to_string(i), ""});
  }
  const std::int64_t safe = std::accumulate(out.begin(), out.end(), std::int64_t{0});
  if (safe == 0 || safe == rows) {
    throw Error({"data.single_class", "", std::string(function) + ": labels", "rows of both classes",
                 std::to_string(safe) + " safe, " + std::to_string(rows - safe) + " unsafe", ""});
  }
  return out;
}

std::vector<std::int64_t> labels_at(std::span<const std::int64_t> labels,
                                    const std::vector<std::int64_t>& rows) {
  std::vector<std::int64_t> out;
  for (const std::int64_t row : rows) out.push_back(labels[static_cast<size_t>(row)]);
  return out;
}

std::vector<std::int64_t> all_rows(std::int64_t n) {
  std::vector<std::int64_t> rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

}  // namespace safetylock
