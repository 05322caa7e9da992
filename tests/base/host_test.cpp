#include "base/host.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/versions.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

/// A made-up /proc and /sys.
class Host : public ::testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = folder.path() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  HostInfo read() const { return read_host(folder.path()); }

  const test::TemporaryFolder folder;
};

TEST_F(Host, NothingIsThereAndNothingIsThrown) {
  const HostInfo host = read();
  EXPECT_EQ(host.cpu.logical, 0);
  EXPECT_GE(host.cpu.usable, 1);
  EXPECT_EQ(host.memory.total, 0U);
  EXPECT_FALSE(host.memory.limit);
  EXPECT_FALSE(host.nvidia_driver);
}

TEST_F(Host, ProcessorAndMemory) {
  put("/proc/cpuinfo",
      "processor\t: 0\nmodel name\t: A  Chip\nflags\t\t: fpu avx2 avx512_bf16\n\nprocessor\t: 1\nmodel "
      "name\t: A "
      " Chip\nflags\t\t: fpu avx2 avx512_bf16\n");
  put("/proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n");
  put("/proc/driver/nvidia/version", "NVRM");
  const HostInfo host = read();
  EXPECT_EQ(host.cpu.model, "A  Chip");
  EXPECT_EQ(host.cpu.logical, 2);
  EXPECT_TRUE(host.cpu.has("avx2"));
  EXPECT_FALSE(host.cpu.has("avx"));
  EXPECT_EQ(host.memory.total, 2048U * 1024);
  EXPECT_EQ(host.memory.usable(), 1024U * 1024);
  EXPECT_TRUE(host.nvidia_driver);
}

TEST_F(Host, TheNarrowestGroupOnTheWayUpCounts) {
  put("/proc/meminfo", "MemAvailable: 1024 kB\n");
  put("/proc/self/cgroup", "0::/outer/inner\n");
  put("/sys/fs/cgroup/outer/memory.max", "4096\n");
  put("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  put("/sys/fs/cgroup/outer/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/outer/inner/cpu.max", "150000 100000\n");
  const HostInfo host = read();
  EXPECT_EQ(host.memory.limit, 4096U);
  EXPECT_EQ(host.memory.usable(), 4096U);
  EXPECT_EQ(host.cpu.quota, 1.5);
}

TEST_F(Host, GroupsOfTheFirstVersionAndPathsOutsideTheContainer) {
  put("/proc/self/cgroup", "4:memory:/gone\n1:cpu,cpuacct:/gone\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "8192\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(read().memory.limit, 8192U);
  EXPECT_FALSE(read().cpu.quota);
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_FALSE(read().memory.limit);
}

TEST(Versions, AreKnown) {
  for (const auto& [name, version] : core_versions()) EXPECT_FALSE(version.empty()) << name;
}

TEST_F(Host, MemoryOfThisProcess) {
  EXPECT_EQ(process_memory(folder.path()), 0U);
  put("/proc/self/status", "Name:\tx\nVmHWM:\t  900 kB\nVmRSS:\t  700 kB\nRssAnon:\t 1 kB\n");
  EXPECT_EQ(process_memory(folder.path()), 700U * 1024);
}

}  // namespace
}  // namespace safetylock
