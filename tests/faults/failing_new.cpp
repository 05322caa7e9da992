#include "faults/failing_new.h"

#include <dlfcn.h>
#include <execinfo.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace safetylock::test {
namespace {

std::atomic<std::ptrdiff_t> live{0};
thread_local bool active = false;
thread_local size_t number = 0, first_failing = FailingNew::kNever, last_failing = 0;
thread_local bool failed = false;

// Whether sentencepiece's library asks. It is not ours, and leaks when it gets nothing.
bool asked_by_sentencepiece() {
  std::array<void*, 64> frames{};
  const int depth = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  for (int i = 0; i < depth; ++i) {
    Dl_info info{};
    if (::dladdr(frames[static_cast<size_t>(i)], &info) == 0 || info.dli_fname == nullptr) continue;
    if (std::strstr(info.dli_fname, "libsentencepiece") != nullptr) return true;
  }
  return false;
}

bool must_fail() {
  if (!active) return false;
  const size_t n = number++;
  if (n < first_failing || n > last_failing || asked_by_sentencepiece()) return false;
  failed = true;
  return true;
}

void* allocate(size_t size, size_t alignment) {
  if (must_fail()) return nullptr;
  const size_t rounded = (size + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (p != nullptr) ++live;
  return p;
}

void* allocate_or_throw(size_t size, size_t alignment = alignof(std::max_align_t)) {
  void* p = allocate(size, alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

void release(void* p) noexcept {
  if (p == nullptr) return;
  --live;
  std::free(p);
}

}  // namespace

FailingNew::FailingNew(size_t first, size_t count) {
  number = 0;
  failed = false;
  first_failing = first;
  last_failing = count - 1 > kNever - first ? kNever : first + count - 1;
  active = true;
}
FailingNew::~FailingNew() {
  active = false;
}
size_t FailingNew::asked() {
  return number;
}
bool FailingNew::happened() {
  return failed;
}
std::ptrdiff_t live_allocations() {
  return live;
}

}  // namespace safetylock::test

using safetylock::test::allocate;
using safetylock::test::allocate_or_throw;
using safetylock::test::release;

void* operator new(size_t size) {
  return allocate_or_throw(size);
}
void* operator new[](size_t size) {
  return allocate_or_throw(size);
}
void* operator new(size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, alignof(std::max_align_t));
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, alignof(std::max_align_t));
}
void operator delete(void* p) noexcept {
  release(p);
}
void operator delete[](void* p) noexcept {
  release(p);
}
void operator delete(void* p, size_t) noexcept {
  release(p);
}
void operator delete[](void* p, size_t) noexcept {
  release(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  release(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
  release(p);
}
void operator delete(void* p, size_t, std::align_val_t) noexcept {
  release(p);
}
void operator delete[](void* p, size_t, std::align_val_t) noexcept {
  release(p);
}
