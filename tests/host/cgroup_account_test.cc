// What a cgroup counts: the buffers of sockets within the memory limit, and use from a moment on.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>

#include "host/cgroup/cgroup.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"

namespace bailey::host {
namespace {

constexpr int64_t kMiB = 1 << 20;

class CgroupAccount : public ::testing::Test {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root", "cgroup");
    auto found = find_cgroups();
    ASSERT_TRUE(found) << found.error().message;
    mounts_ = std::move(*found);
    leaks_ = std::make_unique<tests::LeakCheck>();
  }
  bool v2() const { return mounts_.layout == CgroupLayout::v2; }
  Result<Cgroup> make(const char* what, int64_t memory) {
    bundle::Resources r;
    r.memory.limit = r.memory.swap = memory;
    return Cgroup::create(mounts_, "", std::string("test-") + what + "-" + std::to_string(::getpid()), r);
  }
  // A child that enters the cgroup and exits with what `act` answers. Returns its pid.
  static pid_t run_in(const Cgroup& cgroup, const std::function<int()>& act) {
    clone_args args{};
    args.exit_signal = SIGCHLD;
    if (cgroup.clone_into_fd() >= 0)
      args.flags = CLONE_INTO_CGROUP, args.cgroup = static_cast<uint64_t>(cgroup.clone_into_fd());
    const auto child = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (child != 0) return child;
    for (const Fd& fd : cgroup.join_fds())
      if (::write(fd.get(), "0", 1) != 1) ::_exit(120);
    ::_exit(act());
  }
  static int wait_status(pid_t child) {
    int status = -1;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return status;
  }

  CgroupMounts mounts_;
  std::unique_ptr<tests::LeakCheck> leaks_;
};

// In a network namespace of its own: datagrams to sockets that nobody reads, up to `most` bytes. Returns how many MiB of them
// could be read back, or 100 and more when it could not try.
int fill_sockets(int64_t most) {
  if (::unshare(CLONE_NEWNET) != 0) return 101;
  const int any = ::socket(AF_INET, SOCK_DGRAM, 0);
  ifreq lo{"lo", {}};
  lo.ifr_flags = IFF_UP;
  if (::ioctl(any, SIOCSIFFLAGS, &lo) != 0) return 102;
  static char block[30'000];
  constexpr int kSockets = 400, kEach = 12;
  int sockets[kSockets];
  int made = 0;
  for (int64_t sent = 0; made < kSockets && sent < most; ++made) {
    const int one = sockets[made] = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int enough = 1 << 20;
    ::setsockopt(one, SOL_SOCKET, SO_RCVBUF, &enough, sizeof enough);
    if (one < 0 || ::bind(one, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(one, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      return 103;
    for (int i = 0; i < kEach; ++i) {
      const ssize_t out = ::sendto(one, block, sizeof block, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&address), size);
      sent += std::max<ssize_t>(out, 0);
    }
  }
  int64_t held = 0;
  for (int i = 0; i < made; ++i)
    for (ssize_t got; (got = ::recv(sockets[i], block, sizeof block, MSG_DONTWAIT)) > 0;) held += got;
  return static_cast<int>(std::min<int64_t>(held / kMiB, 99));
}

TEST_F(CgroupAccount, BuffersOfSocketsAreWithinTheMemoryLimit) {
  auto cgroup = make("sockets", 32 * kMiB);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  const int status = wait_status(run_in(*cgroup, [] { return fill_sockets(80 * kMiB); }));
  if (WIFSIGNALED(status)) {  // v2 may kill for it
    EXPECT_GE(cgroup->usage().oom_kills.value_or(0), 1u);
    return;
  }
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_GT(WEXITSTATUS(status), 0);
  EXPECT_LE(WEXITSTATUS(status), 36);
  const CgroupUsage usage = cgroup->usage();
  const uint64_t peak = v2() ? usage.peak_memory_bytes.value_or(0) : usage.peak_socket_memory_bytes.value_or(0);
  EXPECT_GE(peak, static_cast<uint64_t>(WEXITSTATUS(status)) * kMiB * 3 / 4);
}

TEST_F(CgroupAccount, WhatASandboxMadeInVainUsedIsLeftOut) {
  auto cgroup = make("vain", 64 * kMiB);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  const auto burn = [](int64_t us) {
    const auto microseconds = [](const timeval& time) { return time.tv_sec * 1'000'000 + time.tv_usec; };
    rusage used{};
    while (microseconds(used.ru_utime) + microseconds(used.ru_stime) < us) ::getrusage(RUSAGE_SELF, &used);
    return 0;
  };
  EXPECT_EQ(wait_status(run_in(*cgroup, [&] { return burn(200'000); })), 0);
  EXPECT_GE(cgroup->usage().cpu_us.value_or(0), 200'000);
  cgroup->leave_out_cpu_time();
  cgroup->begin_account(Cgroup::LeaveOut::peaks);
  EXPECT_LT(cgroup->usage().cpu_us.value_or(INT64_MAX), 100'000);
  EXPECT_EQ(wait_status(run_in(*cgroup, [&] { return burn(200'000); })), 0);
  EXPECT_GE(cgroup->usage().cpu_us.value_or(0), 200'000);
  EXPECT_LT(cgroup->usage().cpu_us.value_or(INT64_MAX), 390'000);
}

TEST_F(CgroupAccount, WhatWasUsedBeforeIsLeftOut) {
  auto cgroup = make("account", 128 * kMiB);
  ASSERT_TRUE(cgroup) << cgroup.error().message;
  Pipe up = create_pipe().value(), down = create_pipe().value();
  const pid_t child = run_in(*cgroup, [&]() -> int {
    down.write.reset();
    constexpr size_t kBytes = 32 * kMiB;
    char* memory = static_cast<char*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (size_t i = 0; i < kBytes; i += 4096) memory[i] = 1;
    rusage used{};
    while (used.ru_utime.tv_sec * 1'000'000 + used.ru_utime.tv_usec < 200'000) ::getrusage(RUSAGE_SELF, &used);
    ::munmap(memory, kBytes);
    char byte = 'x';
    if (::write(up.write.get(), &byte, 1) != 1) return 1;
    return static_cast<int>(::read(down.read.get(), &byte, 1));
  });
  up.write.reset();
  char byte = 0;
  ASSERT_EQ(::read(up.read.get(), &byte, 1), 1);
  EXPECT_GE(cgroup->usage().cpu_us.value_or(0), 200'000);
  EXPECT_GE(cgroup->usage().peak_memory_bytes.value_or(0), 32u * kMiB);
  cgroup->begin_account(Cgroup::LeaveOut::all);
  down.write.reset();
  EXPECT_EQ(wait_status(child), 0);
  const CgroupUsage usage = cgroup->usage();
  EXPECT_LT(usage.cpu_us.value_or(INT64_MAX), 100'000);
  EXPECT_GT(usage.cpu_us.value_or(0), 0);
  struct stat peak{};
  // Linux 6.12 made it writable.
  if (v2() && (::stat((cgroup->paths().front() + "/memory.peak").c_str(), &peak) != 0 || (peak.st_mode & 0200) == 0)) return;
  EXPECT_LT(usage.peak_memory_bytes.value_or(UINT64_MAX), 16u * kMiB);
}

}  // namespace
}  // namespace bailey::host
