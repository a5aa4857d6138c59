// A caller's file as the stdin of a sandbox.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/files.h"
#include "dispatcher/input_file.h"
#include "dispatcher/streams.h"
#include "tests/support/run_bailey.h"

namespace bailey::dispatcher {
namespace {

class InputFile : public testing::Test {
 protected:
  Fd open(const std::string& text, int flags = O_RDWR, const std::string& name = "input") {
    const std::string path = directory_.write(name, text);
    return files::open(path, flags).value();
  }
  tests::TempDir directory_;
};

std::string rest_of(const Fd& fd) { return files::read_fd(fd.get(), 1 << 20, "input").value(); }

TEST_F(InputFile, IsAFileThatCanBeMeasuredMappedAndReadAgain) {
  const Fd caller = open("0123456789");
  const Fd copy = copy_input_file(caller.get());
  ASSERT_TRUE(copy);
  struct stat info{};
  ASSERT_EQ(::fstat(copy.get(), &info), 0);
  EXPECT_TRUE(S_ISREG(info.st_mode));
  EXPECT_EQ(info.st_size, 10);
  void* mapped = ::mmap(nullptr, 10, PROT_READ, MAP_SHARED, copy.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(std::string(static_cast<char*>(mapped), 10), "0123456789");
  ::munmap(mapped, 10);
  EXPECT_EQ(rest_of(copy), "0123456789");
  EXPECT_EQ(::lseek(copy.get(), 4, SEEK_SET), 4);
  EXPECT_EQ(rest_of(copy), "456789");
}

TEST_F(InputFile, BeginsWhereTheCallerStandsAndMovesNobody) {
  const Fd caller = open("0123456789");
  ASSERT_EQ(::lseek(caller.get(), 3, SEEK_SET), 3);
  const Fd copy = copy_input_file(caller.get());
  EXPECT_EQ(rest_of(copy), "3456789");
  EXPECT_EQ(::lseek(caller.get(), 0, SEEK_CUR), 3);
}

TEST_F(InputFile, CannotBeWrittenByAnyName) {
  const Fd caller = open("0123456789");
  const Fd copy = copy_input_file(caller.get());
  EXPECT_EQ(::write(copy.get(), "x", 1), -1);
  EXPECT_EQ(::ftruncate(copy.get(), 0), -1);
  const std::string name = "/proc/self/fd/" + std::to_string(copy.get());
  const Fd again(::open(name.c_str(), O_RDWR | O_CLOEXEC));  // root may open it, and no more
  if (again) {
    EXPECT_EQ(::write(again.get(), "x", 1), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::ftruncate(again.get(), 3), -1);
    EXPECT_EQ(::mmap(nullptr, 10, PROT_READ | PROT_WRITE, MAP_SHARED, again.get(), 0), MAP_FAILED);
  }
  EXPECT_EQ(::open(name.c_str(), O_RDWR | O_TRUNC | O_CLOEXEC), -1);
  EXPECT_EQ(tests::read_file(directory_.file("input")), "0123456789");
}

TEST_F(InputFile, CanBeOpenedForReadingByEveryUser) {
  const Fd caller = open("0123456789");
  ASSERT_EQ(::fchmod(caller.get(), 0600), 0);
  const Fd copy = copy_input_file(caller.get());
  struct stat info{};
  ASSERT_EQ(::fstat(copy.get(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0444U);  // the contract suite opens /dev/stdin as another user
}

TEST_F(InputFile, IsTakenHoweverItWasOpened) {
  const std::string path = directory_.write("file", "text");
  for (const int flags : {O_RDONLY, O_RDWR, O_RDWR | O_APPEND}) {
    const Fd caller = files::open(path, flags).value();
    EXPECT_EQ(rest_of(copy_input_file(caller.get())), "text") << flags;
  }
  const Fd deleted = files::open(path, O_RDONLY).value();
  ASSERT_EQ(::unlink(path.c_str()), 0);
  EXPECT_EQ(rest_of(copy_input_file(deleted.get())), "text");
}

TEST_F(InputFile, IsAnEmptyFileWhereNothingIsLeft) {
  const Fd empty = open(""), at_end = open("all read", O_RDWR, "read"), beyond = open("all read", O_RDWR, "beyond");
  ASSERT_EQ(::lseek(at_end.get(), 0, SEEK_END), 8);
  ASSERT_EQ(::lseek(beyond.get(), 100, SEEK_SET), 100);
  for (const Fd* fd : {&empty, &at_end, &beyond}) {
    const off_t before = ::lseek(fd->get(), 0, SEEK_CUR);
    const Fd copy = copy_input_file(fd->get());
    ASSERT_TRUE(copy);
    struct stat info{};
    ASSERT_EQ(::fstat(copy.get(), &info), 0);
    EXPECT_TRUE(S_ISREG(info.st_mode));
    EXPECT_EQ(info.st_size, 0);
    EXPECT_EQ(rest_of(copy), "");
    EXPECT_EQ(::write(copy.get(), "x", 1), -1);
    EXPECT_EQ(::lseek(fd->get(), 0, SEEK_CUR), before);
  }
}

TEST_F(InputFile, StaysAStreamWhereACopyWouldNotDo) {
  const Fd null = files::open("/dev/null", O_RDONLY).value(), proc = files::open("/proc/version", O_RDONLY).value();
  const Fd large = files::open(directory_.file("large"), O_RDWR | O_CREAT, 0600).value();
  ASSERT_EQ(::ftruncate(large.get(), off_t{5} << 30), 0);
  for (const Fd* fd : {&null, &proc, &large}) EXPECT_FALSE(copy_input_file(fd->get()));
  ASSERT_EQ(::lseek(large.get(), (off_t{5} << 30) - 7, SEEK_SET), (off_t{5} << 30) - 7);
  EXPECT_EQ(rest_of(copy_input_file(large.get())), std::string(7, '\0')) << "its end is small";

  StreamOptions options;
  options.attach_stdin = true;
  options.in = proc.get();
  Streams streams = Streams::create(options).value();
  const Stdio ends = streams.take_workload_ends();
  struct stat info{};
  ASSERT_EQ(::fstat(ends.in.get(), &info), 0);
  EXPECT_TRUE(S_ISFIFO(info.st_mode));
}

TEST_F(InputFile, RefusesWhatCannotBeRead) {
  const Fd write_only = open("x", O_WRONLY), directory = files::open("/", O_RDONLY | O_DIRECTORY).value(),
           path_only = files::open("/etc/passwd", O_PATH).value();
  for (const Fd* fd : {&write_only, &directory, &path_only}) {
    StreamOptions options;
    options.attach_stdin = true;
    options.in = fd->get();
    const auto streams = Streams::create(options);
    ASSERT_FALSE(streams);
    EXPECT_EQ(streams.error().fault, Fault::bad_input);
    EXPECT_NE(streams.error().message.find("stdin"), std::string::npos);
    EXPECT_NE(streams.error().remedy, "");
  }
}

}  // namespace
}  // namespace bailey::dispatcher
