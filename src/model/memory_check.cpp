#include "model/memory_check.h"

#include <algorithm>
#include <map>

#include "safetylock/error.h"

namespace safetylock {
namespace {

/// Loading holds small buffers beside the weights, and a short prompt needs little beside them.
constexpr double kHeldFactor = 1.1;

/// Each factor was checked against config_limits.h, but not their product.
double bytes_of(const TensorSpec& spec, at::ScalarType dtype) {
  auto bytes = static_cast<double>(c10::elementSize(dtype));
  for (const std::uint64_t extent : spec.shape) bytes *= static_cast<double>(extent);
  return bytes;
}

std::string mebibytes(double bytes) {
  constexpr double kMebibyte = 1 << 20;
  return std::to_string(static_cast<std::int64_t>(bytes / kMebibyte)) + " MiB";
}

}  // namespace

void check_memory(const std::vector<TensorSpec>& table, at::ScalarType dtype, const HostMemory& memory,
                  const std::string& file) {
  double needed = 0;
  for (const TensorSpec& spec : table) needed += bytes_of(spec, dtype);
  const auto there = static_cast<double>(memory.usable());
  if (there == 0 || needed <= there) return;
  throw Error({.code = "limit.memory",
               .file = file,
               .where = "weights",
               .expected = "at most the " + mebibytes(there) + " of memory that are free",
               .found = mebibytes(needed) + " as " + c10::toString(dtype),
               .hint =
                   "Use a smaller dtype, a smaller model or a larger machine; extract --max-memory reads a "
                   "model layer by layer"});
}

bool must_stream(const std::vector<TensorSpec>& table, at::ScalarType dtype, std::uint64_t max_memory,
                 const std::string& file) {
  if (max_memory == 0) return false;
  double all = 0, largest = 0;
  std::map<std::int64_t, double> layers;
  for (const TensorSpec& spec : table) {
    all += bytes_of(spec, dtype);
    if (spec.layer >= 0) largest = std::max(largest, layers[spec.layer] += bytes_of(spec, dtype));
  }
  const auto taken = static_cast<double>(process_memory());
  const auto bound = static_cast<double>(max_memory);
  if (taken + kHeldFactor * all <= bound) return false;
  if (taken + 2 * largest <= bound) return true;
  throw Error({.code = "limit.memory",
               .file = file,
               .where = "two layers of weights",
               .expected = "at most the " + mebibytes(bound) + " that are allowed",
               .found = mebibytes(2 * largest) + " as " + c10::toString(dtype) + " beside the " +
                        mebibytes(taken) + " in use",
               .hint = "Allow more memory or use a smaller dtype"});
}

bool has_room(std::uint64_t max_memory, double bytes) {
  return max_memory == 0 || static_cast<double>(process_memory()) + bytes <= static_cast<double>(max_memory);
}

void check_room(std::uint64_t max_memory, double bytes, const std::string& what, const std::string& hint) {
  if (has_room(max_memory, bytes)) return;
  throw Error({.code = "limit.memory",
               .where = what,
               .expected = "at most the " + mebibytes(static_cast<double>(max_memory)) + " that are allowed",
               .found = mebibytes(bytes) + " beside the " + mebibytes(static_cast<double>(process_memory())) +
                        " in use",
               .hint = hint});
}

}  // namespace safetylock
