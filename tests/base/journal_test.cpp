#include "base/journal.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::error_of;

const Json kSubject = {{"model", "m"}, {"alpha", 6.0}};

class JournalTest : public testing::Test {
 protected:
  std::string bytes() const { return read_file(path_, 1 << 20); }
  /// The results of three steps, and how many of them had to be done.
  std::pair<std::vector<double>, int> work(int stop_before = 3) {
    Journal journal(path_, kSubject);
    std::vector<double> results;
    int done = 0;
    for (int i = 0; i < stop_before; ++i) {
      results.push_back(journal
                            .step("step " + std::to_string(i),
                                  [&] {
                                    ++done;
                                    return Json(0.1 * i);
                                  })
                            .get<double>());
    }
    return {results, done};
  }

  test::TemporaryFolder folder_;
  std::string path_ = folder_.path() + "/work.jsonl";
};

TEST_F(JournalTest, GoesOnWhereItStopped) {
  EXPECT_EQ(work(2).second, 2);
  const auto [results, done] = work();
  EXPECT_EQ(done, 1);
  EXPECT_EQ(results, (std::vector<double>{0.0, 0.1, 0.1 * 2})) << "doubles to the last bit";
  EXPECT_EQ(work().second, 0);
}

TEST_F(JournalTest, EveryPrefixOfTheFileLosesOnlyItsTornLine) {
  work();
  const std::string whole = bytes();
  for (size_t size = 0; size <= whole.size(); ++size) {
    const std::string prefix = whole.substr(0, size);
    write_file_atomically(path_, prefix);
    const auto lines = std::count(prefix.begin(), prefix.end(), '\n');
    EXPECT_EQ(work().second, lines == 0 ? 3 : 4 - lines) << size;
    EXPECT_EQ(bytes(), whole) << size;
  }
}

TEST_F(JournalTest, AStepThatThrowsIsNotKept) {
  {
    Journal journal(path_, kSubject);
    EXPECT_EQ(test::code_of([&] {
                journal.step("step 0", []() -> Json { throw Error({.code = "run.interrupted"}); });
              }),
              "run.interrupted");
    EXPECT_FALSE(journal.has("step 0"));
  }
  EXPECT_EQ(work().second, 3);
}

// A run that fails before anything is finished leaves no file to clear away.
TEST_F(JournalTest, NothingFinishedLeavesNothing) {
  work(0);
  EXPECT_FALSE(exists(path_));
  work(1);
  EXPECT_TRUE(exists(path_));
  work(0);
  EXPECT_TRUE(exists(path_)) << "what an earlier run finished stays";
}

TEST_F(JournalTest, RefusesOtherSettingsAndNamesThem) {
  work(1);
  const std::string before = bytes();
  const auto e = error_of([&] { Journal(path_, {{"model", "m"}, {"alpha", 4.0}, {"batch", 2}}); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "arg.resume");
  EXPECT_EQ(e->found, "others: alpha, batch");
  EXPECT_EQ(error_of([&] { Journal(path_, {{"model", "m"}}); })->found, "others: alpha");
  EXPECT_EQ(bytes(), before) << "the unfinished run can still go on";
}

TEST_F(JournalTest, RefusesWhatIsNoJournal) {
  const std::string subject = R"({"subject":{"model":"m","alpha":6.0}})";
  for (const std::string& text :
       {std::string("hello\n"), std::string("{}\n"), std::string("[1]\n"), std::string("{\"subject\":7}\n"),
        subject + "\nhello\n" + R"({"step":"step 0","result":0})" + "\n",
        subject + "\n{\"step\":7,\"result\":0}\n", subject + "\n{\"step\":\"step 0\"}\n",
        subject + "\n{\"step\":\"a\",\"step\":\"b\",\"result\":0}\n"}) {
    write_file_atomically(path_, text);
    EXPECT_EQ(test::code_of([&] { work(); }), "journal.damaged") << text;
    EXPECT_EQ(bytes(), text);
  }
}

TEST_F(JournalTest, OneProcessAtATimeAndGoneAtTheEnd) {
  Journal journal(path_, kSubject);
  EXPECT_EQ(test::code_of([&] { Journal(path_, kSubject); }), "run.busy");
  journal.remove();
  EXPECT_FALSE(exists(path_));
  EXPECT_EQ(test::code_of([&] { Journal(folder_.path() + "/none/x", kSubject); }), "io.write");
}

}  // namespace
}  // namespace safetylock
