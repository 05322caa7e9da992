#include "analysis/row_kernels.h"

#include <cstring>

namespace safetylock {
namespace {

struct Kernels {
  void (*multiply)(const RowView&, const double*, double, double*);
  void (*accumulate)(const RowView&, const double*, double*);
  void (*squares)(const RowView&, const double*, double*);
  void (*gram)(const RowView&, const double*, double*, std::int64_t);
  double (*dot)(const double*, const double*, std::int64_t);
};

// Four doubles; the compiler cuts them to the width of the instruction set at hand.
using Lanes = double __attribute__((vector_size(32)));
constexpr std::int64_t kLanes = 4;

namespace portable {
#define SAFETYLOCK_KERNEL inline
#include "analysis/row_kernels_body.h"
#undef SAFETYLOCK_KERNEL
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
#define SAFETYLOCK_KERNEL [[gnu::target("avx2,fma")]] inline
#include "analysis/row_kernels_body.h"
#undef SAFETYLOCK_KERNEL
}  // namespace avx2
#endif

const Kernels& kernels() {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (has_avx2) return avx2::kKernels;
#endif
  return portable::kKernels;
}

}  // namespace

void multiply_rows(const RowView& rows, const double* w, double offset, double* out) {
  kernels().multiply(rows, w, offset, out);
}
void accumulate_rows(const RowView& rows, const double* weights, double* out) {
  kernels().accumulate(rows, weights, out);
}
void accumulate_squares(const RowView& rows, const double* centre, double* out) {
  kernels().squares(rows, centre, out);
}
void accumulate_gram(const RowView& rows, const double* weights, double* out, std::int64_t stride) {
  kernels().gram(rows, weights, out, stride);
}
double dot_product(const double* a, const double* b, std::int64_t n) {
  return kernels().dot(a, b, n);
}

}  // namespace safetylock
