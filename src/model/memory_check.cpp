#include "model/memory_check.h"

#include "safetylock/error.h"

namespace safetylock {

void check_memory(const std::vector<TensorSpec>& table, at::ScalarType dtype, const HostMemory& memory,
                  const std::string& file) {
  // Each factor was checked against config_limits.h, but not their product.
  double needed = 0;
  for (const TensorSpec& spec : table) {
    double bytes = static_cast<double>(c10::elementSize(dtype));
    for (const std::uint64_t extent : spec.shape) bytes *= static_cast<double>(extent);
    needed += bytes;
  }
  const auto there = static_cast<double>(memory.usable());
  if (there == 0 || needed <= there) return;
  constexpr double kMebibyte = 1 << 20;
  const auto mebibytes = [](double bytes) {
    return std::to_string(static_cast<std::int64_t>(bytes / kMebibyte)) + " MiB";
  };
  throw Error({.code = "limit.memory",
               .file = file,
               .where = "weights",
               .expected = "at most the " + mebibytes(there) + " of memory that are free",
               .found = mebibytes(needed) + " as " + c10::toString(dtype),
               .hint = "Use a smaller dtype, a smaller model or a larger machine"});
}

}  // namespace safetylock
