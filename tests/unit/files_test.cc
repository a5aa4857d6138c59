#include "base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <set>

#include "base/child.h"
#include "base/fd.h"
#include "base/slot.h"
#include "tests/support/temp_dir.h"

namespace bailey {
namespace {

class Files : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = files::open(directory_.path(), O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(opened) << opened.error().message;
    dir_ = std::move(*opened);
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  void make_file(const std::string& name, std::string_view contents, mode_t mode = 0644) {
    const auto fd = files::open_at(dir_.get(), name, O_WRONLY | O_CREAT | O_TRUNC, mode);
    ASSERT_TRUE(fd && files::write_fd(fd->get(), contents, name));
  }
  void make_link(const std::string& target, const std::string& name) {
    ASSERT_EQ(::symlinkat(target.c_str(), dir_.get(), name.c_str()), 0);
  }
  mode_t mode(const std::string& name) const {
    struct stat status{};
    EXPECT_EQ(::lstat(path(name).c_str(), &status), 0) << name;
    return status.st_mode & 07777;
  }
  bool exists(const std::string& name) const { return ::faccessat(dir_.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0; }
  std::vector<std::string> names() const { return files::list(dir_.get()).value_or(std::vector<std::string>{}); }

  tests::TempDir directory_;
  Fd dir_;
};

TEST_F(Files, OpenSetsCloexecAndNamesThePath) {
  const auto fd = files::open("/dev/null", O_RDONLY);
  ASSERT_TRUE(fd);
  EXPECT_EQ(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  const auto missing = files::open(path("missing"), O_RDONLY);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().sys, ENOENT);
  EXPECT_NE(missing.error().message.find(path("missing")), std::string::npos);
}

// A directory that can be opened and not read (a server that went away, a disk that fails): what is there is not known.
TEST_F(Files, ListingADirectoryThatCannotBeReadIsAnError) {
  make_file("one", "1");
  EXPECT_EQ(names(), std::vector<std::string>{"one"});
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getdents64, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog filter{std::size(code), code};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0) ::_exit(100);
    const auto listed = files::list(dir_.get());
    ::_exit(listed ? 101 : listed.error().sys);
  }
  EXPECT_EQ(describe_status(*await_child(child)), "exit code " + std::to_string(EIO));
}

// A removed directory has an end: that is what readdir(3) says, and nothing is in it.
TEST_F(Files, ListingARemovedDirectoryFindsNothing) {
  ASSERT_EQ(::mkdirat(dir_.get(), "gone", 0755), 0);
  const Fd gone = files::open(path("gone"), O_RDONLY | O_DIRECTORY).value();
  ASSERT_EQ(::unlinkat(dir_.get(), "gone", AT_REMOVEDIR), 0);
  const auto listed = files::list(gone.get());
  EXPECT_TRUE(!listed || listed->empty());
}

TEST_F(Files, OpenBeneathRefusesToLeave) {
  make_file("inside", "in");
  ASSERT_EQ(::mkdirat(dir_.get(), "sub", 0755), 0);
  make_link("/etc/passwd", "absolute");
  make_link("../..", "up");
  make_link("inside", "good");
  for (const char* good : {"inside", "good", "sub/../inside"})
    EXPECT_TRUE(files::open_beneath(dir_.get(), good, O_RDONLY)) << good;
  for (const char* bad : {"/etc/passwd", "absolute", "../x", "up/etc", "sub/../../x"}) {
    const auto fd = files::open_beneath(dir_.get(), bad, O_RDONLY);
    ASSERT_FALSE(fd) << bad;
    EXPECT_EQ(fd.error().sys, EXDEV) << bad;
  }
}

TEST_F(Files, OpenInRootStaysInside) {
  ASSERT_EQ(::mkdirat(dir_.get(), "etc", 0755), 0);
  make_file("etc/passwd", "ours");
  make_link("/etc/passwd", "absolute");
  make_link("../../../../etc/passwd", "climbing");
  for (const char* name : {"/etc/passwd", "absolute", "climbing", "../../etc/passwd"}) {
    const auto fd = files::open_in_root(dir_.get(), name, O_RDONLY);
    ASSERT_TRUE(fd) << name << ": " << fd.error().message;
    EXPECT_EQ(*files::read_fd(fd->get(), 100, name), "ours") << name;
  }
}

TEST_F(Files, OpenInRootRefusesMagicLinks) {
  const auto proc = files::open("/proc", O_PATH | O_DIRECTORY);
  ASSERT_TRUE(proc);
  for (const char* name : {"self/root/etc/passwd", "self/cwd/x", "self/exe"}) {
    const auto fd = files::open_in_root(proc->get(), name, O_RDONLY);
    ASSERT_FALSE(fd) << name;
    EXPECT_EQ(fd.error().sys, ELOOP) << name;
  }
}

TEST_F(Files, ReadTakesUpToTheCapAndSaysWhenItIsMore) {
  make_file("f", std::string(5000, 'x'));
  EXPECT_EQ(files::read(path("f"), 5000)->size(), 5000u);
  const auto over = files::read(path("f"), 4999);
  ASSERT_FALSE(over);
  EXPECT_NE(over.error().message.find("larger than 4999 bytes"), std::string::npos) << over.error().message;
  EXPECT_EQ(over.error().fault, Fault::bad_input);
  EXPECT_FALSE(files::read("/dev/zero", 100'000));
  EXPECT_FALSE(files::read(directory_.path(), 100));
  make_file("empty", "");
  EXPECT_EQ(*files::read(path("empty"), 0), "");
  EXPECT_NE(files::read("/proc/self/status", 1 << 20)->find("Name:"), std::string::npos);  // its size says 0
}

TEST_F(Files, WriteExistingMakesNoFile) {
  EXPECT_FALSE(files::write_existing(dir_.get(), "new", "x"));
  EXPECT_FALSE(exists("new"));
  make_file("old", "long text");
  EXPECT_TRUE(files::write_existing(dir_.get(), "old", "x"));
  EXPECT_EQ(*files::read(path("old"), 100), "x");
}

TEST_F(Files, WriteAtomicallyReplacesWholeFilesWithTheExactMode) {
  const mode_t before = ::umask(077);
  EXPECT_TRUE(files::write_atomically(dir_.get(), "f", "one", 0644));
  EXPECT_TRUE(files::write_atomically(dir_.get(), "f", "two", 0640));
  ::umask(before);
  EXPECT_EQ(*files::read(path("f"), 100), "two");
  EXPECT_EQ(mode("f"), 0640u);
  EXPECT_EQ(names(), (std::vector<std::string>{"f"}));
}

TEST_F(Files, WriteAtomicallyReplacesALinkAndNotItsTarget) {
  make_file("target", "kept");
  make_link("target", "f");
  make_link("target", ".f.new");  // planted where the temporary file goes
  EXPECT_TRUE(files::write_atomically(dir_.get(), "f", "new", 0600));
  EXPECT_EQ(*files::read(path("target"), 100), "kept");
  EXPECT_EQ(*files::read(path("f"), 100), "new");
}

TEST_F(Files, WriteAtomicallyIsWholeWithManyWriters) {
  constexpr int kWriters = 4, kRounds = 300;
  constexpr size_t kBytes = 20'000;
  std::vector<pid_t> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.push_back(::fork());
    if (writers.back() != 0) continue;
    bool all = true;
    for (int round = 0; round < kRounds; ++round)
      all = files::write_atomically(dir_.get(), "f", std::string(kBytes, static_cast<char>('a' + i)), 0600) && all;
    ::_exit(all ? 0 : 1);
  }
  for (size_t left = writers.size(); left > 0;) {
    int status = 0;
    while (::waitpid(-1, &status, WNOHANG) > 0) {
      EXPECT_EQ(status, 0) << "a writer failed because of another one";
      --left;
    }
    const auto text = files::read(path("f"), 2 * kBytes);
    if (!text) continue;  // nobody has written yet
    ASSERT_EQ(text->size(), kBytes);
    ASSERT_EQ(text->find_first_not_of((*text)[0]), std::string::npos) << "of two writers";
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"f"}));
}

TEST_F(Files, WriteAtomicallyLeavesNothingWhenItFails) {
  ASSERT_EQ(::mkdirat(dir_.get(), "f", 0755), 0);  // a directory in the way of the rename
  EXPECT_FALSE(files::write_atomically(dir_.get(), "f", "x", 0600));
  EXPECT_EQ(names(), (std::vector<std::string>{"f"}));
}

TEST_F(Files, CreateDirectoriesSetsTheModeOfNewOnesOnly) {
  ASSERT_EQ(::mkdirat(dir_.get(), "a", 0755), 0);
  const mode_t before = ::umask(077);
  EXPECT_TRUE(files::create_directories(path("a/b/c"), 0711));
  ::umask(before);
  EXPECT_EQ(mode("a"), 0755u);
  EXPECT_EQ(mode("a/b"), 0711u);
  EXPECT_EQ(mode("a/b/c"), 0711u);
  EXPECT_TRUE(files::create_directories(path("a/b/c"), 0700));
  make_file("file", "");
  EXPECT_FALSE(files::create_directories(path("file/x"), 0700));
}

TEST_F(Files, RemoveTreeDoesNotFollowLinks) {
  tests::TempDir outside;
  ASSERT_TRUE(files::create_directories(path("t/deep/er"), 0755));
  ASSERT_TRUE(files::create_directories(outside.path() + "/kept", 0755));
  make_file("t/deep/file", "x");
  make_link(outside.path(), "t/link");
  make_link(outside.path(), "t/deep/er/link");
  make_link("/nonexistent", "t/dangling");
  EXPECT_TRUE(files::remove_tree(dir_.get(), "t"));
  EXPECT_FALSE(exists("t"));
  EXPECT_EQ(::access((outside.path() + "/kept").c_str(), F_OK), 0);
  make_link(outside.path(), "top");
  EXPECT_TRUE(files::remove_tree(dir_.get(), "top"));
  EXPECT_FALSE(exists("top"));
  EXPECT_EQ(::access((outside.path() + "/kept").c_str(), F_OK), 0);
  EXPECT_TRUE(files::remove_tree(dir_.get(), "never was"));
}

TEST_F(Files, RemoveTreeRefusesPathsThatLeave) {
  tests::TempDir outside;
  make_link(outside.path(), "link");
  ASSERT_TRUE(files::create_directories(outside.path() + "/kept", 0755));
  EXPECT_FALSE(files::remove_tree(dir_.get(), "link/kept"));
  EXPECT_FALSE(files::remove_tree(dir_.get(), "../" + outside.path().substr(5) + "/kept"));
  EXPECT_EQ(::access((outside.path() + "/kept").c_str(), F_OK), 0);
}

// /proc keeps its files from everybody, root included, as an immutable file is kept (chattr +i).
TEST_F(Files, RemoveTreeSaysWhyAFileCannotBeRemoved) {
  const Fd proc = files::open("/proc", O_RDONLY | O_DIRECTORY).value();
  ASSERT_EQ(::unlinkat(proc.get(), "version", 0), -1);
  const int expected = errno;
  EXPECT_NE(expected, ENOTDIR);
  const auto removed = files::remove_tree(proc.get(), "version");
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().sys, expected);
}

TEST_F(Files, ListIsSortedAndCanBeRepeated) {
  for (const char* name : {"b", "a", ".hidden", "c"}) make_file(name, "");
  const std::vector<std::string> expected = {".hidden", "a", "b", "c"};
  EXPECT_EQ(names(), expected);
  EXPECT_EQ(names(), expected);
}

TEST_F(Files, ReadlinkAndTypes) {
  make_link("some/target", "link");
  EXPECT_EQ(*files::readlink(path("link")), "some/target");
  EXPECT_EQ(files::readlink(directory_.path()).error().sys, EINVAL);
  const auto proc = files::open("/proc", O_PATH);
  ASSERT_TRUE(proc);
  EXPECT_EQ(*files::file_system_type(proc->get()), static_cast<uint64_t>(PROC_SUPER_MAGIC));
  EXPECT_TRUE(S_ISDIR(files::stat_fd(proc->get(), "/proc")->st_mode));
}

TEST_F(Files, SlotsHaveOneHolderEach) {
  std::vector<Slot> held;
  std::set<uint32_t> numbers;
  for (int i = 0; i < 5; ++i) {
    auto slot = Slot::take(dir_.get(), "slots", 5);
    ASSERT_TRUE(slot && *slot);
    numbers.insert((*slot)->number());
    held.push_back(std::move(**slot));
  }
  EXPECT_EQ(numbers, (std::set<uint32_t>{0, 1, 2, 3, 4}));
  EXPECT_FALSE(Slot::take(dir_.get(), "slots", 5)->has_value());
  EXPECT_FALSE(Slot::take_number(dir_.get(), "slots", 3)->has_value());
  std::erase_if(held, [](const Slot& slot) { return slot.number() == 3; });
  const auto again = Slot::take(dir_.get(), "slots", 5);
  ASSERT_TRUE(again && *again);
  EXPECT_EQ((*again)->number(), 3u);
  make_link("elsewhere", "link");
  EXPECT_FALSE(Slot::take(dir_.get(), "link", 5));
}

TEST(FdTest, MovesAndCloses) {
  auto pipe = create_pipe();
  ASSERT_TRUE(pipe);
  const int number = pipe->read.get();
  Fd moved = std::move(pipe->read);
  EXPECT_FALSE(pipe->read);
  EXPECT_EQ(moved.get(), number);
  EXPECT_EQ(::fcntl(number, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  auto copy = moved.duplicate();
  ASSERT_TRUE(copy);
  EXPECT_GE(copy->get(), 3);
  EXPECT_EQ(::fcntl(copy->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  moved.reset();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  const int released = copy->release();
  EXPECT_FALSE(*copy);
  EXPECT_EQ(::close(released), 0);
  EXPECT_FALSE(Fd().duplicate());
}

TEST(FdTest, PassesDescriptorsAndKeepsOnlyTheFirst) {
  auto pair = create_socket_pair();
  auto pipe = create_pipe();
  ASSERT_TRUE(pair && pipe);
  const int fds[] = {pipe->write.get(), pipe->read.get(), 0};
  ASSERT_EQ(send_fds(pair->ours.get(), fds, 3), 0);
  const auto got = receive_fd(pair->theirs.get());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(::fcntl(got->get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  ASSERT_EQ(::write(got->get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(pipe->read.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  EXPECT_EQ(::fcntl(got->get() + 1, F_GETFD), -1);  // the others took the next numbers and were closed
}

TEST(FdTest, SaysWhenThePeerSentNothing) {
  auto pair = create_socket_pair();
  ASSERT_TRUE(pair);
  ASSERT_EQ(::send(pair->ours.get(), "f", 1, 0), 1);
  EXPECT_FALSE(receive_fd(pair->theirs.get()));
  pair->ours.reset();
  EXPECT_FALSE(receive_fd(pair->theirs.get()));
}

TEST(FdTest, PassesMoreDescriptorsThanAMessageHolds) {
  auto pair = create_socket_pair();
  ASSERT_TRUE(pair);
  std::vector<Pipe> pipes;
  std::vector<int> fds, got(100, -1);
  for (int i = 0; i < 100; ++i) {
    pipes.push_back(create_pipe().value());
    fds.push_back(pipes.back().read.get());
  }
  ASSERT_EQ(send_fds(pair->ours.get(), fds.data(), fds.size()), 0);
  ASSERT_EQ(receive_fds(pair->theirs.get(), got.data(), got.size()), 100);
  const std::vector<Fd> owned(got.begin(), got.end());
  for (size_t i = 0; i < fds.size(); ++i) {
    struct stat sent{}, come{};
    ASSERT_TRUE(::fstat(fds[i], &sent) == 0 && ::fstat(got[i], &come) == 0) << i;
    EXPECT_EQ(sent.st_ino, come.st_ino) << i;
    EXPECT_EQ(::fcntl(got[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC) << i;
  }
}

TEST(FdTest, SaysWhyNoDescriptorsCame) {
  auto pair = create_socket_pair();
  ASSERT_TRUE(pair);
  const int fds[] = {0, 1};
  int got[1];
  ASSERT_EQ(send_fds(pair->ours.get(), fds, 2), 0);
  EXPECT_EQ(receive_fds(pair->theirs.get(), got, 1), -EMSGSIZE);
  ASSERT_EQ(::send(pair->ours.get(), "f", 1, 0), 1);
  EXPECT_EQ(receive_fds(pair->theirs.get(), got, 1), -EBADMSG);
  pair->ours.reset();
  EXPECT_EQ(receive_fds(pair->theirs.get(), got, 1), -EPIPE);
}

}  // namespace
}  // namespace bailey
