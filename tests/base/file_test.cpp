#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>

#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::code_of;
using test::error_of;
using test::TemporaryFolder;

std::string open_code(const std::string& path) {
  return code_of([&] { InputFile file(path); });
}

TEST(InputFile, F1_MissingFileIsNotCalledCorrupt) {
  const TemporaryFolder folder;
  const auto e = error_of([&] { InputFile file(folder.path("none")); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.open");
  EXPECT_EQ(e->found, "No such file or directory");
  EXPECT_EQ(e->file, folder.path("none"));
}

TEST(InputFile, F1_ForbiddenFileSaysSo) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "bytes");
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  const uid_t user = ::geteuid();
  if (user == 0) {
    ASSERT_EQ(::seteuid(65534), 0);  // root may read anything
  }
  const auto e = error_of([&] { InputFile file(path); });
  ASSERT_EQ(::seteuid(user), 0);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.open");
  EXPECT_EQ(e->found, "Permission denied");
}

TEST(InputFile, F2_Socket) {
  const TemporaryFolder folder;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  folder.path("s").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(open_code(folder.path("s")), "io.not_regular");
  ::close(fd);
}

TEST(InputFile, F2_FolderFifoAndDeviceAreRefusedWithoutHanging) {
  const TemporaryFolder folder;
  EXPECT_EQ(open_code(folder.path()), "io.not_regular");
  ASSERT_EQ(::mkfifo(folder.path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(open_code(folder.path("fifo")), "io.not_regular");
  EXPECT_EQ(open_code("/dev/zero"), "io.not_regular");
}

TEST(InputFile, F3_SymlinkOfTheUserIsFollowed) {
  const TemporaryFolder folder;
  folder.write("real", "bytes");
  ASSERT_EQ(::symlink("real", folder.path("link").c_str()), 0);
  EXPECT_EQ(read_file(folder.path("link"), 10), "bytes");
}

TEST(InputFile, F4_EmptyFile) {
  const TemporaryFolder folder;
  const auto e = error_of([&] { InputFile file(folder.write("empty", "")); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.empty");
  EXPECT_EQ(e->expected, "at least 1 byte");
}

TEST(InputFile, HeldOnDemandKeepsNoDescriptor) {
  const TemporaryFolder folder;
  const int next_free = ::dup(0);
  ASSERT_GE(next_free, 0);
  ::close(next_free);
  std::vector<InputFile> files;
  for (int i = 0; i < 100; ++i) {
    const std::string name = std::to_string(i);
    files.emplace_back(folder.write(name, name), InputFile::Hold::on_demand);
  }
  const int still_free = ::dup(0);
  ::close(still_free);
  EXPECT_EQ(still_free, next_free);
  std::string text(2, ' ');
  files[42].read_at(0, std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(text, "42");
}

TEST(InputFile, F6_F7_HeldOnDemandSeesChangesAndReplacements) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "0123456789");
  const InputFile file(path, InputFile::Hold::on_demand);
  std::vector<std::byte> out(2);
  file.read_at(0, out);
  file.check_unchanged();
  folder.write("other", "0123456789");
  ASSERT_EQ(::rename(folder.path("other").c_str(), path.c_str()), 0);
  const auto e = error_of([&] { file.read_at(0, out); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.changed");
  EXPECT_EQ(e->found, "another file");
  EXPECT_EQ(code_of([&] { file.check_unchanged(); }), "io.changed");
  std::remove(path.c_str());
  EXPECT_EQ(code_of([&] { file.read_at(0, out); }), "io.open");
}

TEST(InputFile, F5_ReadingPastTheEndNamesOffsetAndBytes) {
  const TemporaryFolder folder;
  const InputFile file(folder.write("f", "0123456789"));
  std::vector<std::byte> out(8);
  file.read_at(2, out);
  EXPECT_EQ(static_cast<char>(out[0]), '2');
  const auto e = error_of([&] { file.read_at(4, out); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "io.truncated");
  EXPECT_EQ(e->where, "offset 4");
  EXPECT_EQ(e->expected, "8 bytes");
  EXPECT_EQ(e->found, "6 bytes");
}

TEST(InputFile, F6_ShrunkFileIsNoticed) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "0123456789");
  const InputFile file(path);
  EXPECT_EQ(code_of([&] { file.check_unchanged(); }), "no error");
  ASSERT_EQ(::truncate(path.c_str(), 3), 0);
  EXPECT_EQ(code_of([&] { file.check_unchanged(); }), "io.changed");
  std::vector<std::byte> out(10);
  EXPECT_EQ(code_of([&] { file.read_at(0, out); }), "io.truncated");
}

TEST(InputFile, F7_ReplacedFileIsReadAsItWasOpened) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "old bytes");
  const InputFile file(path);
  write_file_atomically(path, "new bytes, and more of them");
  std::string out(9, '\0');
  file.read_at(0, std::as_writable_bytes(std::span(out.data(), out.size())));
  EXPECT_EQ(out, "old bytes");
}

TEST(ReadFile, F8_LimitHoldsBeforeReading) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "0123456789");
  EXPECT_EQ(read_file(path, 10), "0123456789");
  EXPECT_EQ(code_of([&] { (void)read_file(path, 9); }), "limit.file_size");
  // A sparse terabyte must be refused by its size, not by running out of memory.
  ASSERT_EQ(::truncate(path.c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(code_of([&] { (void)read_file(path, 1 << 20); }), "limit.file_size");
}

TEST(InputFile, F11_PathsAreBytesAndPrintedEscaped) {
  const TemporaryFolder folder;
  EXPECT_EQ(open_code(std::string("a\0b", 3)), "arg.path");
  EXPECT_EQ(open_code(""), "arg.path");
  const std::string odd = "new\nline\xFF";
  folder.write(odd, "x");
  const InputFile file(folder.path(odd));
  EXPECT_EQ(file.path(), folder.path("new\\x0Aline\\xFF"));
}

TEST(InputFile, MoveHandsOverTheDescriptor) {
  const TemporaryFolder folder;
  InputFile a(folder.write("a", "aaaa"));
  InputFile b(folder.write("b", "bb"));
  b = std::move(a);
  EXPECT_EQ(b.size(), 4U);
  std::vector<std::byte> out(4);
  b.read_at(0, out);
  EXPECT_EQ(static_cast<char>(out[3]), 'a');
}

TEST(WriteFileAtomically, ReplacesAndLeavesNothingElse) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "old");
  const std::string bytes("new\0bytes", 9);
  write_file_atomically(path, bytes);
  EXPECT_EQ(test::read_all(path), bytes);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(WriteFileAtomically, HonoursTheUmask) {
  const TemporaryFolder folder;
  const mode_t old = ::umask(027);
  write_file_atomically(folder.path("f"), "x");
  ::umask(old);
  struct stat st {};
  ASSERT_EQ(::stat(folder.path("f").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0640U);
}

TEST(WriteFileAtomically, R6_FolderAsTargetAndMissingFolder) {
  const TemporaryFolder folder;
  EXPECT_EQ(code_of([&] { write_file_atomically(folder.path(), "x"); }), "io.write");
  EXPECT_EQ(code_of([&] { write_file_atomically(folder.path("none/f"), "x"); }), "io.write");
}

// A disk that fills up in the middle: here the process may not write files above 4 KiB.
TEST(WriteFileAtomically, R6_FailureKeepsTheOldFile) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "old");
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit tight = before;
  tight.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const std::string code = code_of([&] { write_file_atomically(path, std::string(100'000, 'x')); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(code, "io.write");
  EXPECT_EQ(test::read_all(path), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Paths, JoinAndBaseName) {
  EXPECT_EQ(join_path("a", "b"), "a/b");
  EXPECT_EQ(join_path("a/", "b"), "a/b");
  EXPECT_EQ(join_path("", "b"), "b");
  EXPECT_EQ(base_name("a/b/"), "b");
  EXPECT_EQ(base_name("b"), "b");
  EXPECT_EQ(base_name("/"), "");
}

}  // namespace
}  // namespace safetylock
