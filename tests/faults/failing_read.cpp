#include "faults/failing_read.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace safetylock::test {
namespace {

std::function<ReadFault(size_t)> plan_of_all;
size_t calls_made = 0;

}  // namespace

FailingRead::FailingRead(std::function<ReadFault(size_t)> plan) {
  calls_made = 0;
  plan_of_all = std::move(plan);
}
FailingRead::~FailingRead() {
  plan_of_all = nullptr;
}
size_t FailingRead::calls() {
  return calls_made;
}

ssize_t read_with_faults(int fd, void* out, size_t size, off_t offset) {
  ReadFault fault;
  if (plan_of_all) fault = plan_of_all(calls_made++);
  if (fault.error != 0) {
    errno = fault.error;
    return -1;
  }
  return ::syscall(SYS_pread64, fd, out, std::min(size, fault.bytes), offset);
}

}  // namespace safetylock::test

// Stands before the C library's.
extern "C" ssize_t pread(int fd, void* out, size_t size, off_t offset) {
  return safetylock::test::read_with_faults(fd, out, size, offset);
}
