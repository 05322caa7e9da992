// Row F10 of the threat table (docs/threat-model.md): reads that are interrupted, short or fail.
#include <gtest/gtest.h>

#include <cerrno>

#include "base/file.h"
#include "faults/failing_read.h"
#include "faults/readers.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::FailingRead;
using test::ReadFault;

TEST(Reads, F10_InterruptedOnesAreRepeated) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("f", "0123456789");
  const FailingRead faults([](size_t n) { return ReadFault{.error = n < 5 ? EINTR : 0}; });
  EXPECT_EQ(read_file(path, 10), "0123456789");
  EXPECT_EQ(FailingRead::calls(), 6U);
}

TEST(Reads, F10_ShortOnesAreCompleted) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("f", "0123456789");
  const FailingRead faults([](size_t) { return ReadFault{.bytes = 3}; });
  EXPECT_EQ(read_file(path, 10), "0123456789");
  EXPECT_EQ(FailingRead::calls(), 4U);
}

TEST(Reads, F10_FailureNamesTheOffset) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("f", "0123456789");
  const FailingRead faults([](size_t n) { return ReadFault{.error = n == 2 ? EIO : 0, .bytes = 4}; });
  const auto e = test::error_of([&] { (void)read_file(path, 10); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.read");
  EXPECT_EQ(e->file, path);
  EXPECT_EQ(e->where, "offset 8");
  EXPECT_EQ(e->found, "Input/output error");
}

// Whatever a reader reads comes in pieces, and after each of them the next one fails.
TEST(Reads, F10_EveryReaderCompletesAndFailsCleanly) {
  const test::TemporaryFolder folder;
  for (const test::ReaderCase& reader : test::reader_cases(folder)) {
    SCOPED_TRACE(reader.name);
    size_t calls = 0;
    {
      const FailingRead faults(
          [](size_t n) { return ReadFault{.error = n % 2 == 0 ? EINTR : 0, .bytes = 100}; });
      EXPECT_EQ(test::code_of(reader.read), "no error");
      calls = FailingRead::calls();
    }
    for (size_t k = 0; k < calls; k += calls / 100 + 1) {
      const FailingRead faults([k](size_t n) { return ReadFault{.error = n == k ? EIO : 0, .bytes = 100}; });
      const auto e = test::error_of(reader.read);
      if (!e && k >= FailingRead::calls()) break;  // without interruptions there are fewer
      ASSERT_TRUE(e) << k;
      EXPECT_EQ(e->code, "io.read") << k;
      EXPECT_TRUE(e->where.starts_with("offset ")) << e->where;
    }
  }
}

}  // namespace
}  // namespace safetylock
