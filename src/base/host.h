// The machine this process runs on: processor, memory, and what a container allows of them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

namespace safetylock {

struct HostCpu {
  std::string model;            ///< empty when the system does not say
  std::set<std::string> flags;  ///< as /proc/cpuinfo spells them, e.g. "avx512_bf16"
  std::int64_t logical = 0;     ///< processors of the machine
  std::int64_t usable = 0;      ///< of them this process may run on
  std::optional<double> quota;  ///< processors' worth of time that a control group allows

  bool has(const std::string& flag) const { return flags.contains(flag); }
};

struct HostMemory {
  std::uint64_t total = 0;             ///< bytes; 0 when the system does not say
  std::uint64_t available = 0;         ///< bytes without swapping
  std::optional<std::uint64_t> limit;  ///< of the process's control group, the narrowest on the way up

  /// What a program may take now.
  std::uint64_t usable() const noexcept { return limit && *limit < available ? *limit : available; }
};

struct HostInfo {
  HostCpu cpu;
  HostMemory memory;
  bool nvidia_driver = false;  ///< the kernel has loaded one
};

/// Reads /proc and /sys below `root`. What is missing there stays empty; nothing is thrown.
HostInfo read_host(const std::string& root = "");

/// Bytes of memory that this process takes now; 0 when the system does not say.
std::uint64_t process_memory(const std::string& root = "");

}  // namespace safetylock
