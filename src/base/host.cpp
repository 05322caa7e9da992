#include "base/host.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace safetylock {
namespace {

/// Version 1 of control groups says "no limit" by a number near the largest.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;

/// Files of /proc say that they are empty, so they are read as streams.
std::string text_of(const std::string& path) {
  const std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

HostCpu read_cpu(const std::string& cpuinfo) {
  HostCpu cpu;
  std::istringstream lines(cpuinfo);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = trimmed(line.substr(0, colon)), value = trimmed(line.substr(colon + 1));
    if (key == "processor") ++cpu.logical;
    if (key == "model name" && cpu.model.empty()) cpu.model = value;
    if ((key == "flags" || key == "Features") && cpu.flags.empty()) {
      std::istringstream flags(value);
      for (std::string flag; flags >> flag;) cpu.flags.insert(flag);
    }
  }
  return cpu;
}

std::int64_t usable_processors() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return ::sysconf(_SC_NPROCESSORS_ONLN);
}

/// Bytes of the line "KEY: n kB"; 0 when there is none.
std::uint64_t bytes_of(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string found;
    std::uint64_t kilobytes = 0;
    if (words >> found >> kilobytes && found == key) return kilobytes * 1024;
  }
  return 0;
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  std::istringstream text(text_of(path));
  std::uint64_t value = 0;
  if (text >> value) return value;
  return std::nullopt;  // missing, or "max"
}

/// "200000 100000" is two processors; "max 100000" is no limit.
std::optional<double> quota_of(const std::string& quota, const std::string& period) {
  std::istringstream a(quota), b(period);
  double used = 0, of = 0;
  if (a >> used && b >> of && used > 0 && of > 0) return used / of;
  return std::nullopt;
}

template <typename Number>
void narrow(std::optional<Number>& limit, const std::optional<Number>& other) {
  if (other && (!limit || *other < *limit)) limit = other;
}

void narrow_by_group(HostInfo& host, const std::string& folder) {
  for (const char* name : {"/memory.max", "/memory.limit_in_bytes"}) {
    const auto bytes = number_in(folder + name);
    if (bytes && *bytes < kNoLimit) narrow(host.memory.limit, bytes);
  }
  const std::string both = text_of(folder + "/cpu.max");
  const size_t space = both.find(' ');
  if (space != std::string::npos) narrow(host.cpu.quota, quota_of(both.substr(0, space), both.substr(space)));
  narrow(host.cpu.quota,
         quota_of(text_of(folder + "/cpu.cfs_quota_us"), text_of(folder + "/cpu.cfs_period_us")));
}

/// A limit of any group above the process's own holds too. In a container the group's path may not be there;
/// then its mount's root stands for it.
void narrow_by_groups(HostInfo& host, const std::string& root) {
  std::istringstream lines(text_of(root + "/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty();
    if (!unified && controllers != "memory" && controllers.find("cpu") != 0) continue;
    const std::string mount = root + "/sys/fs/cgroup" + (unified ? "" : "/" + controllers);
    for (std::string path = line.substr(second + 1); path.size() > 1;
         path.erase(std::min(path.rfind('/'), path.size())))
      narrow_by_group(host, mount + path);
    narrow_by_group(host, mount);
  }
}

}  // namespace

HostInfo read_host(const std::string& root) {
  const std::string meminfo = text_of(root + "/proc/meminfo");
  HostInfo host{.cpu = read_cpu(text_of(root + "/proc/cpuinfo")),
                .memory = {.total = bytes_of(meminfo, "MemTotal:"),
                           .available = bytes_of(meminfo, "MemAvailable:"),
                           .limit = std::nullopt},
                .nvidia_driver = false};
  host.cpu.usable = usable_processors();
  narrow_by_groups(host, root);
  std::error_code ignored;
  host.nvidia_driver = std::filesystem::exists(root + "/proc/driver/nvidia/version", ignored);
  return host;
}

std::uint64_t process_memory(const std::string& root) {
  return bytes_of(text_of(root + "/proc/self/status"), "VmRSS:");
}

}  // namespace safetylock
