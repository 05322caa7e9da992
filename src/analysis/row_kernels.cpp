#include "analysis/row_kernels.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace safetylock {
namespace {

struct Kernels {
  void (*multiply)(const RowView&, const double*, double, double*);
  void (*accumulate)(const RowView&, const double*, double*);
  void (*squares)(const RowView&, const double*, double*);
  void (*gram)(const RowView&, const double*, double*, std::int64_t);
  double (*dot)(const double*, const double*, std::int64_t);
  void (*sigmoids)(const double*, std::int64_t, double*);
};

namespace portable {
constexpr std::int64_t kLanes = 4;  // the compiler cuts them to what there is
#define SAFETYLOCK_KERNEL inline
#include "analysis/row_kernels_body.h"
#undef SAFETYLOCK_KERNEL
}  // namespace portable

#if defined(__x86_64__)
namespace avx2 {
constexpr std::int64_t kLanes = 4;
#define SAFETYLOCK_KERNEL [[gnu::target("avx2,fma")]] inline
#include "analysis/row_kernels_body.h"
#undef SAFETYLOCK_KERNEL
}  // namespace avx2

namespace avx512 {
constexpr std::int64_t kLanes = 8;
#define SAFETYLOCK_KERNEL [[gnu::target("avx512f,avx512dq,avx2,fma,prefer-vector-width=512")]] inline
#include "analysis/row_kernels_body.h"
#undef SAFETYLOCK_KERNEL
}  // namespace avx512
#endif

const Kernels& kernels() {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  static const bool has_avx512 =
      has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  if (has_avx512) return avx512::kKernels;
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
void sigmoids(const double* z, std::int64_t n, double* out) {
  kernels().sigmoids(z, n, out);
}

}  // namespace safetylock
