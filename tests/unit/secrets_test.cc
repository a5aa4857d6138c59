#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <sstream>
#include <thread>

#include "base/files.h"
#include "secrets/secret.h"
#include "secrets/source.h"
#include "secrets/stage.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::secrets {

namespace {

using tests::LeakCheck;
using tests::read_file;
using tests::TempDir;

std::string text_of(const Secret& secret) {
  return {reinterpret_cast<const char*>(secret.bytes().data()), secret.bytes().size()};
}

// The message, "" when it was read.
std::string refusal_of(const Request& request) {
  auto secret = read_source(request, 50);
  if (secret) return "";
  EXPECT_NE(secret.error().message.find("secret 'db'"), std::string::npos) << secret.error().message;
  return secret.error().message;
}

Request file_request(const std::string& path) { return {.name = "db", .file = path}; }
Request fd_request(int fd) { return {.name = "db", .file = "", .fd = fd}; }

// The line of /proc/self/smaps that begins with `key`, for the mapping at `address`.
std::string smaps_line(const void* address, std::string_view key) {
  std::istringstream smaps(read_file("/proc/self/smaps"));
  bool here = false;
  for (std::string line; std::getline(smaps, line);) {
    unsigned long begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      const auto at = reinterpret_cast<unsigned long>(address);
      here = at >= begin && at < end;
    } else if (here && line.starts_with(key)) {
      return line;
    }
  }
  return "";
}

// Runs `body` in a child that is uid 65534; true when it answered true.
bool as_nobody(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresgid(65534, 65534, 65534) < 0 || ::setresuid(65534, 65534, 65534) < 0) ::_exit(2);
    ::_exit(body() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string contents_at(int mount, const std::string& name) {
  const Fd file = files::open_at(mount, name, O_RDONLY).value_or(Fd());
  return file ? files::read_fd(file.get(), kMaxSecretBytes, name).value_or("?") : "?";
}

}  // namespace

TEST(SecretRequest, ReadsEveryPart) {
  const auto full = parse_request("db=./pass:/etc/app/db.pass:0440:33");
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_EQ(*full, (Request{"db", "./pass", -1, "/etc/app/db.pass", 0440, 33}));
  EXPECT_EQ(*parse_request("db=fd:7"), (Request{"db", "", 7, "", 0400, {}}));
  EXPECT_EQ(*parse_request("db=f::444"), (Request{"db", "f", -1, "", 0444, {}}));
  EXPECT_EQ(*parse_request("db=f:::0"), (Request{"db", "f", -1, "", 0400, 0}));
  EXPECT_EQ(*parse_request("a=b=c"), (Request{"a", "b=c", -1, "", 0400, {}}));
}

TEST(SecretRequest, RefusesNonsenseAndNamesIt) {
  for (const char* flag : {"",
                           "db",
                           "=f",
                           "db=",
                           "db=fd:",
                           "db=fd:x",
                           "db=fd:-1",
                           "db=fd:99999999999",
                           "db=f:relative",
                           "db=f::8",
                           "db=f::-1",
                           "db=f::04000",
                           "db=f::1777",
                           "db=f::rw",
                           "db=f:::x",
                           "db=f:::-1",
                           "db=f:::4294967295",
                           "db=f:::1:",
                           "db=f:/a:0400:1:2",
                           "../db=f",
                           "a/b=f",
                           "a b=f",
                           ".=f"}) {
    const auto request = parse_request(flag);
    ASSERT_FALSE(request) << flag;
    EXPECT_EQ(request.error().fault, Fault::bad_input);
    EXPECT_NE(request.error().message.find("--secret"), std::string::npos) << flag;
    EXPECT_FALSE(request.error().remedy.empty());
  }
}

TEST(SecretSource, ReadsAFileAndAPipe) {
  TempDir dir;
  EXPECT_EQ(text_of(*read_source(file_request(dir.write("s", std::string("a\0b\n", 4))))), std::string("a\0b\n", 4));
  EXPECT_EQ(text_of(*read_source(file_request(dir.write("empty", "")))), "");
  EXPECT_EQ(read_source(file_request(dir.write("largest", std::string(kMaxSecretBytes, 'x'))))->bytes().size(),
            kMaxSecretBytes);
  const Fd file = *files::open(dir.file("s"), O_RDONLY);
  EXPECT_EQ(text_of(*read_source(fd_request(file.get()))), std::string("a\0b\n", 4));
  Pipe pipe = *create_pipe();
  std::thread writer([&] {
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(files::write_fd(pipe.write.get(), std::string(100'000, 'p'), "pipe"));
    pipe.write.reset();
  });
  EXPECT_EQ(text_of(*read_source(fd_request(pipe.read.get()))), std::string(400'000, 'p'));
  writer.join();
}

TEST(SecretSource, RefusesWhatIsNoRegularFile) {
  TempDir dir;
  dir.write("real", "x");
  ASSERT_EQ(::symlink("real", dir.file("link").c_str()), 0);
  ASSERT_EQ(::mkfifo(dir.file("fifo").c_str(), 0600), 0);
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, dir.file("socket").c_str());
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_NE(refusal_of(file_request(dir.file("link"))).find("symbolic link"), std::string::npos);
  EXPECT_NE(refusal_of(file_request(dir.file("fifo"))).find("a FIFO"), std::string::npos);
  EXPECT_NE(refusal_of(file_request(dir.file("socket"))).find("a socket"), std::string::npos);
  EXPECT_NE(refusal_of(file_request(dir.path())).find("a directory"), std::string::npos);
  EXPECT_NE(refusal_of(file_request("/dev/zero")).find("a device"), std::string::npos);
  EXPECT_NE(refusal_of(file_request(dir.file("missing"))).find("No such file"), std::string::npos);
  EXPECT_NE(refusal_of(fd_request(listener.get())).find("a socket"), std::string::npos);
  EXPECT_NE(refusal_of(fd_request(987)).find("no such descriptor"), std::string::npos);
  const Pipe pipe = *create_pipe();
  EXPECT_NE(refusal_of(fd_request(pipe.write.get())).find("open for reading"), std::string::npos);
}

TEST(SecretSource, RefusesTooMuch) {
  TempDir dir;
  const std::string path = dir.write("big", std::string(kMaxSecretBytes + 1, 'x'));
  EXPECT_NE(refusal_of(file_request(path)).find("more than 1048576 bytes"), std::string::npos);
  Pipe pipe = *create_pipe();
  std::thread writer([&] { (void)files::write_fd(pipe.write.get(), std::string(kMaxSecretBytes + 1, 'x'), "pipe"); });
  EXPECT_NE(read_source(fd_request(pipe.read.get())).error().message.find("more than"), std::string::npos);
  pipe.read.reset();
  writer.join();
  // A file whose size is not what it says (/proc has 0) is read to its end all the same, or refused.
  EXPECT_FALSE(read_source(file_request("/proc/self/smaps")));
}

TEST(SecretSource, DoesNotWaitForEverForAPipe) {
  Pipe pipe = *create_pipe();
  EXPECT_NE(refusal_of(fd_request(pipe.read.get())).find("not closed in time"), std::string::npos);
}

TEST(SecretSource, NeedsTheRightToRead) {
  BAILEY_REQUIRE("root");
  TempDir dir;
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  const std::string path = dir.write("s", "x", 0600);
  EXPECT_TRUE(as_nobody([&] {
    const auto secret = read_source(file_request(path));
    return !secret && secret.error().sys == EACCES && secret.error().fault == Fault::bad_input &&
           !secret.error().remedy.empty();
  }));
}

TEST(SecretMemory, IsLockedUndumpedAndGoneAfterFork) {
  Secret secret = *Secret::create(10);
  std::memcpy(secret.free_space().data(), "hush", 4);
  secret.grow(4);
  EXPECT_EQ(text_of(secret), "hush");
  const std::string flags = smaps_line(secret.bytes().data(), "VmFlags:");
  for (const char* flag : {" lo", " dd", " wf"}) EXPECT_NE(flags.find(flag), std::string::npos) << flags;
  EXPECT_EQ(smaps_line(secret.bytes().data(), "Locked:").find(" 0 kB"), std::string::npos);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(text_of(secret) == std::string(4, '\0') ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(SecretMemory, IsMovedNotCopied) {
  Secret one = *Secret::create(1);
  one.free_space()[0] = std::byte{'x'};
  one.grow(1);
  Secret two = std::move(one);
  EXPECT_TRUE(one.bytes().empty());
  one = std::move(two);
  EXPECT_EQ(text_of(one), "x");
}

TEST(SecretMemory, SaysWhatToDoWhenItCannotBeLocked) {
  BAILEY_REQUIRE("root");
  EXPECT_TRUE(as_nobody([] {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) < 0) return false;
    const auto secret = Secret::create(10);
    return !secret && secret.error().remedy.find("ulimit -l") != std::string::npos;
  }));
}

class SecretStage : public testing::Test {
 protected:
  void SetUp() override { BAILEY_REQUIRE("root"); }
  TempDir dir_;
};

TEST_F(SecretStage, HoldsTheFilesWithTheirOwnersAndModes) {
  const std::vector<Request> requests = {{"db", dir_.write("a", "password\n")},
                                         {"key", dir_.write("b", std::string(200'000, 'k')), -1, "/elsewhere", 0440, 7},
                                         {"none", dir_.write("c", "")}};
  const auto stage = Stage::create(requests, {.uid = 5,
                                              .gid = 6,
                                              .host_uid = [](uint32_t id) { return id + 1000; },
                                              .host_gid = [](uint32_t id) { return id + 2000; }});
  ASSERT_TRUE(stage) << stage.error().message;
  const int mount = stage->mount_fd();
  EXPECT_EQ(*files::list(Fd(*files::open_at(mount, ".", O_RDONLY | O_DIRECTORY)).get()),
            (std::vector<std::string>{"db", "key", "none"}));
  EXPECT_EQ(contents_at(mount, "db"), "password\n");
  EXPECT_EQ(contents_at(mount, "key"), std::string(200'000, 'k'));
  EXPECT_EQ(contents_at(mount, "none"), "");
  struct stat info;
  ASSERT_EQ(::fstatat(mount, "db", &info, 0), 0);
  EXPECT_EQ(info.st_uid, 1005u);
  EXPECT_EQ(info.st_gid, 2006u);
  EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFREG | 0400));
  ASSERT_EQ(::fstatat(mount, "key", &info, 0), 0);
  EXPECT_EQ(info.st_uid, 1007u);
  EXPECT_EQ(info.st_mode, static_cast<mode_t>(S_IFREG | 0440));
}

TEST_F(SecretStage, IsSealedInMemoryAndInNoMountTable) {
  const std::string before = read_file("/proc/self/mountinfo");
  const auto stage = Stage::create({{"db", dir_.write("a", "x")}}, {});
  ASSERT_TRUE(stage) << stage.error().message;
  EXPECT_EQ(read_file("/proc/self/mountinfo"), before);
  struct statvfs flags;
  ASSERT_EQ(::fstatvfs(stage->mount_fd(), &flags), 0);
  EXPECT_EQ(flags.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC),
            static_cast<unsigned long>(ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC));
  struct statfs kind;
  ASSERT_EQ(::fstatfs(stage->mount_fd(), &kind), 0);
  EXPECT_TRUE(kind.f_type == TMPFS_MAGIC || kind.f_type == RAMFS_MAGIC);
  EXPECT_LT(::openat(stage->mount_fd(), "new", O_WRONLY | O_CREAT, 0600), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_LT(::openat(stage->mount_fd(), "db", O_WRONLY), 0);
  EXPECT_LT(::unlinkat(stage->mount_fd(), "db", 0), 0);
}

TEST_F(SecretStage, AsAttachedNeverSwaps) {
  const auto stage = Stage::create({{"db", dir_.write("a", "x")}}, {});
  ASSERT_TRUE(stage) << stage.error().message;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) ::_exit(2);
    if (::move_mount(stage->mount_fd(), "", AT_FDCWD, dir_.path().c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0) ::_exit(3);
    std::istringstream mounts(read_file("/proc/self/mountinfo"));
    for (std::string line; std::getline(mounts, line);)
      if (line.find(" " + dir_.path() + " ") != std::string::npos)
        ::_exit(line.find("noswap") != std::string::npos || line.find("- ramfs") != std::string::npos ? 0 : 4);
    ::_exit(5);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(SecretStage, OnlyFillsWhatItWasAskedFor) {
  EXPECT_TRUE(Stage::create({}, {})->empty());
  const std::string path = dir_.write("a", "x");
  EXPECT_NE(Stage::create({{"db", path}, {"db", path}}, {}).error().message.find("twice"), std::string::npos);
  const Fd file = *files::open(path, O_RDONLY);
  EXPECT_NE(Stage::create({{"a", "", file.get()}, {"b", "", file.get()}}, {}).error().message.find("two secrets"),
            std::string::npos);
  EXPECT_FALSE(Stage::create({{"db", path}, {"other", dir_.file("missing")}}, {}));
}

TEST_F(SecretStage, TakesManyOfTheLargest) {
  std::vector<Request> requests;
  const std::string path = dir_.write("a", std::string(kMaxSecretBytes, 'x'));
  for (int i = 0; i < 20; ++i) requests.push_back({"s" + std::to_string(i), path});
  const auto stage = Stage::create(requests, {});
  ASSERT_TRUE(stage) << stage.error().message;
  EXPECT_EQ(contents_at(stage->mount_fd(), "s19").size(), kMaxSecretBytes);
}

TEST_F(SecretStage, LeavesNothingInMemoryOrBehind) {
  LeakCheck leaks;
  const int dumpable = ::prctl(PR_GET_DUMPABLE);
  {
    Pipe pipe = *create_pipe();
    // Written byte by byte, so that no buffer of this test holds it either.
    for (int i = 0; i < 4096; ++i) {
      const char byte = static_cast<char>('a' + (i * 7 + i / 26) % 26);
      ASSERT_EQ(::write(pipe.write.get(), &byte, 1), 1);
    }
    pipe.write.reset();
    const auto stage = Stage::create({{"db", "", pipe.read.get()}}, {});
    ASSERT_TRUE(stage) << stage.error().message;
    char needle[16];
    for (int i = 0; i < 16; ++i) needle[i] = static_cast<char>('a' + ((i + 64) * 7 + (i + 64) / 26) % 26);
    size_t found = 0;
    std::istringstream maps(read_file("/proc/self/maps"));
    const Fd memory = *files::open("/proc/self/mem", O_RDONLY);
    for (std::string line; std::getline(maps, line);) {
      unsigned long begin = 0, end = 0;
      if (std::sscanf(line.c_str(), "%lx-%lx rw", &begin, &end) != 2 || end - begin > 64ul << 20) continue;
      for (unsigned long page = begin; page < end; page += 4096) {
        char bytes[4096];
        if (::pread(memory.get(), bytes, sizeof bytes, static_cast<off_t>(page)) != sizeof bytes) continue;
        found += std::string_view(bytes, sizeof bytes).find(std::string_view(needle, sizeof needle)) != std::string_view::npos;
      }
    }
    EXPECT_LE(found, 2u) << "the needle itself, and the page it was just read into";
  }
  EXPECT_EQ(::prctl(PR_GET_DUMPABLE), dumpable);
}

TEST(SecretStageOfAnOrdinaryUser, CanBeAttachedInAUserNamespace) {
  BAILEY_REQUIRE("root", "userns");
  TempDir dir;
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  const std::string path = dir.write("s", "hush", 0644), place = dir.file("place");
  ASSERT_EQ(::mkdir(place.c_str(), 0755), 0);
  EXPECT_TRUE(as_nobody([&] {
    if (::prctl(PR_SET_DUMPABLE, 1) < 0) return false;  // setresuid has taken it
    const auto nobody = [](uint32_t) { return 65534u; };
    auto stage = Stage::create({{"db", path}}, {.host_uid = nobody, .host_gid = nobody});
    if (!stage) return std::fprintf(stderr, "%s\n", stage.error().message.c_str()), false;
    if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) return false;
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return false;
    for (const auto& [file, line] : {std::pair("setgroups", "deny"), {"uid_map", "0 65534 1"}})
      if (auto written = files::write_existing(AT_FDCWD, std::string("/proc/self/") + file, line); !written)
        return std::fprintf(stderr, "%s\n", written.error().message.c_str()), false;
    if (::move_mount(stage->mount_fd(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
      return std::fprintf(stderr, "move_mount: %s\n", errno_name(errno)), false;
    struct stat info;
    if (::stat((place + "/db").c_str(), &info) < 0 || info.st_uid != 0 || (info.st_mode & 07777) != 0400) return false;
    return read_file(place + "/db") == "hush" && ::unlink((place + "/db").c_str()) < 0 && errno == EROFS;
  }));
}

TEST(SecretStageOfAnOrdinaryUser, CannotBeGivenToAnotherUser) {
  BAILEY_REQUIRE("root", "userns");
  TempDir dir;
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  const std::string path = dir.write("s", "hush", 0644);
  EXPECT_TRUE(as_nobody([&] {  // and is undumpable, as after any change of user
    const auto stage = Stage::create({{"db", path}}, {.host_uid = [](uint32_t) { return 1u; }});
    return !stage && stage.error().remedy.find("root") != std::string::npos;
  }));
}

}  // namespace bailey::secrets
