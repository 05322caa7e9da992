// Row F9 of the threat table (docs/threat-model.md): every single allocation of every reader fails once.
#include <gtest/gtest.h>

#include <filesystem>

#include "faults/failing_new.h"
#include "faults/readers.h"
#include "lock/sample_lock.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

using test::FailingNew;

// Outcome of `read` while the allocations from number `first` on fail, `count` of them.
enum class Outcome { read, refused, no_failure };

Outcome run_failing(const std::function<void()>& read, size_t first, size_t count, const std::string& name) {
  const std::ptrdiff_t before = test::live_allocations();
  bool finished = false;
  try {
    const FailingNew failing(first, count);
    read();
    finished = true;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), "resource.memory") << name << ", allocation " << first << ": " << e.what();
  }  // Any other exception ends the test, std::bad_alloc too.
  EXPECT_EQ(test::live_allocations(), before) << name << " leaks when allocation " << first << " fails";
  if (finished && !FailingNew::happened()) return Outcome::no_failure;
  return finished ? Outcome::read : Outcome::refused;
}

// Up to `most` allocations of a case, evenly spread. Returns how many were refused.
size_t fail_each(const test::ReaderCase& reader, size_t count, size_t most) {
  reader.read();  // what is made once and kept
  size_t total = 0;
  {
    const FailingNew counting;
    reader.read();
    total = FailingNew::asked();
  }
  const size_t step = total / most + 1;
  size_t refused = 0;
  for (size_t k = 0; k < total; k += step) {
    if (run_failing(reader.read, k, count, reader.name) == Outcome::refused) ++refused;
    if (testing::Test::HasFailure()) break;
  }
  return refused;
}

TEST(Allocations, F9_EachFailsOnceInEveryReader) {
  const test::TemporaryFolder folder;
  for (const test::ReaderCase& reader : test::reader_cases(folder)) {
    SCOPED_TRACE(reader.name);
    EXPECT_GT(fail_each(reader, 1, 10'000), 20U);
  }
}

TEST(Allocations, F9_AllFailFromOneOnInEveryReader) {
  const test::TemporaryFolder folder;
  for (const test::ReaderCase& reader : test::reader_cases(folder)) {
    SCOPED_TRACE(reader.name);
    EXPECT_GT(fail_each(reader, FailingNew::kNever, 300), 20U);
  }
}

// The lock's file is replaced whole or not at all, and nothing lies beside it.
TEST(Allocations, F9_SavingALockKeepsTheOldFile) {
  const test::TemporaryFolder folder;
  const SafetyLock lock = test::sample_lock();
  const std::string path = folder.path("a.lock.safetensors");
  lock.save(path);
  const std::string sound = test::read_all(path);
  for (size_t k = 0;; ++k) {
    std::filesystem::remove(path);  // writing over a file waits for the disk
    folder.write("a.lock.safetensors", "old");
    const Outcome outcome = run_failing([&] { lock.save(path); }, k, 1, "save");
    if (outcome == Outcome::no_failure) break;
    ASSERT_EQ(test::read_all(path), outcome == Outcome::refused ? "old" : sound) << k;
    ASSERT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << k;
  }
}

}  // namespace
}  // namespace safetylock
