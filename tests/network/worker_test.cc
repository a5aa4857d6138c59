// What a worker is left with, told by itself over its channel and by /proc.
#include "network/confined/worker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/clock.h"
#include "network/userspace/userspace_network.h"
#include "network/wiring_process.h"
#include "tests/network/worker_attempt.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"
#include "tests/support/temp_dir.h"

namespace bailey::network {
namespace {

using tests::attempt;
using tests::create;
using tests::hear;

void wait_for_end(int channel) {
  char byte;
  while (recv(channel, &byte, 1, 0) > 0) {}
}

// A worker's line of /proc/PID/status, without the name.
std::string status_of(const Worker& worker, const std::string& name) {
  const std::string text = bailey::tests::read_file("/proc/" + std::to_string(worker.pid()) + "/status");
  const size_t at = text.find("\n" + name + ":\t");
  return at == text.npos ? "" : text.substr(at + name.size() + 3, text.find('\n', at + 1) - at - name.size() - 3);
}

int connect_port(uint16_t port) {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
}

bool gone(int pidfd, int ms) {
  pollfd ready{pidfd, POLLIN, 0};
  return poll(&ready, 1, ms) == 1;
}

class WorkerTest : public testing::Test {
  bailey::tests::LeakCheck leaks_;
};

TEST_F(WorkerTest, IsNobodyWithNothing) {
  BAILEY_REQUIRE("root");
  const Pipe kept = create_pipe().value(), other = create_pipe().value();
  const auto worker = create({"bailey-test", {kept.write.get()}, {}, 20}, wait_for_end);
  ASSERT_TRUE(worker) << worker.error().message;
  EXPECT_EQ(status_of(*worker, "Uid"), "65534\t65534\t65534\t65534");
  EXPECT_EQ(status_of(*worker, "Gid"), "65534\t65534\t65534\t65534");
  EXPECT_EQ(status_of(*worker, "Groups").find_first_not_of(' '), std::string::npos);
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
    EXPECT_EQ(status_of(*worker, set), "0000000000000000") << set;
  EXPECT_EQ(status_of(*worker, "NoNewPrivs"), "1");
  EXPECT_EQ(bailey::tests::read_file("/proc/" + std::to_string(worker->pid()) + "/comm"), "bailey-test\n");
  std::vector<std::string> open;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(worker->pid()) + "/fd"))
    open.push_back(std::filesystem::read_symlink(entry).string());
  std::ranges::sort(open);
  ASSERT_EQ(open.size(), 5u) << testing::PrintToString(open);
  EXPECT_EQ(std::ranges::count(open, "/dev/null"), 3);
  EXPECT_TRUE(open[3].starts_with("pipe:") && open[4].starts_with("socket:")) << testing::PrintToString(open);
}

TEST_F(WorkerTest, OpensNoFileAndStartsNoProcess) {
  BAILEY_REQUIRE("root", "landlock");
  const auto open_it = [] { return Fd(::open("/etc/passwd", O_RDONLY | O_CLOEXEC)) ? 0 : errno; };
  EXPECT_EQ(open_it(), 0);
  const std::string refused = std::to_string(EPERM);
  EXPECT_EQ(attempt({}, open_it), refused);
  EXPECT_EQ(attempt({}, [] { return ::open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) < 0 ? errno : 0; }), refused);
  EXPECT_EQ(attempt({}, [] { return ::fork() < 0 ? errno : 0; }), refused);
  EXPECT_EQ(attempt({}, [] { return ::setuid(0) < 0 ? errno : 0; }), refused);
  EXPECT_EQ(attempt({}, [] { return ::kill(::getppid(), 0) < 0 ? errno : 0; }), refused);
}

TEST_F(WorkerTest, HasTheCallsThatItNeedsAndNoOthers) {
  const auto socket_of = [](int family, int type) {
    return [=] { return Fd(::socket(family, type | SOCK_CLOEXEC, 0)) ? 0 : errno; };
  };
  const auto map = [](int protection) {
    return [=] { return ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0; };
  };
  const auto change = [](int protection) {
    return [=] {
      void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      return ::mprotect(page, 4096, protection) < 0 ? errno : 0;
    };
  };
  const std::string refused = std::to_string(EPERM);
  for (const int family : {AF_INET, AF_INET6})
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) EXPECT_EQ(attempt({}, socket_of(family, type)), "0") << family;
  for (const int family : {AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG}) {
    EXPECT_NE(socket_of(family, SOCK_DGRAM)(), EPERM) << "it is not that the kernel refuses it to all: " << family;
    EXPECT_EQ(attempt({}, socket_of(family, SOCK_DGRAM)), refused) << family;
  }
  EXPECT_EQ(attempt({}, map(PROT_READ | PROT_WRITE)), "0");
  EXPECT_EQ(attempt({}, map(PROT_READ | PROT_EXEC)), refused);
  EXPECT_EQ(attempt({}, change(PROT_READ | PROT_WRITE)), "0");
  EXPECT_EQ(attempt({}, change(PROT_READ | PROT_EXEC)), refused);
  const auto plain = [](long number) { return [=] { return ::syscall(number, 0, 0, 0, 0, 0, 0) < 0 ? errno : 0; }; };
  for (const long number : {SYS_execve, SYS_ptrace, SYS_unshare, SYS_bpf, SYS_io_uring_setup, SYS_perf_event_open, SYS_keyctl,
                            SYS_userfaultfd, SYS_process_vm_readv, SYS_memfd_create, SYS_openat2, SYS_clone3})
    EXPECT_EQ(attempt({}, plain(number)), refused) << number;
#ifdef __x86_64__
  EXPECT_EQ(attempt({}, plain(0x4000'0000 + SYS_getpid)), "") << "x32: it has ended";
#endif
}

TEST_F(WorkerTest, ConnectsToItsPortsOnly) {
  BAILEY_REQUIRE("landlock");
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) < 4) GTEST_SKIP() << "needs Landlock ABI 4";
  WorkerSpec spec;
  spec.connects = {9};
  EXPECT_EQ(attempt(spec, [] { return connect_port(9); }), std::to_string(ECONNREFUSED)) << "nobody is there";
  EXPECT_EQ(attempt(spec, [] { return connect_port(10); }), std::to_string(EACCES));
}

TEST_F(WorkerTest, HasNoEnvironment) {
  ::setenv("BAILEY_TEST_TOKEN", "token", 1);
  const char* here = ::getenv("BAILEY_TEST_TOKEN");
  EXPECT_EQ(attempt({}, [&] { return here[0] == '\0' && ::getenv("BAILEY_TEST_TOKEN") == nullptr ? 0 : 1; }), "0");
  EXPECT_STREQ(here, "token");
}

TEST_F(WorkerTest, HoldsDescriptorsWithinItsLimit) {
  WorkerSpec spec;
  spec.descriptors = 10;
  EXPECT_EQ(attempt(spec,
                    [] {
                      int last;
                      while ((last = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0) {}
                      return errno;
                    }),
            std::to_string(EMFILE));
}

TEST_F(WorkerTest, IsNotEndedByTheTerminal) {
  const auto worker = create({}, [](int channel) {
    char byte;
    while (recv(channel, &byte, 1, 0) > 0) send(channel, "alive", 5, 0);
  });
  ASSERT_TRUE(worker) << worker.error().message;
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGPIPE}) kill(worker->pid(), number);
  send(worker->channel(), "x", 1, 0);
  EXPECT_EQ(hear(*worker), "alive");
}

TEST_F(WorkerTest, ThatCannotBeConfinedDoesNotStart) {
  WorkerSpec spec;
  spec.connects = {1, 2};
  spec.descriptors = 3;  // not enough to make a ruleset
  const auto worker = create(spec, [](int) {});
  ASSERT_FALSE(worker);
  EXPECT_EQ(worker.error().message.find("confining bailey-worker: "), 0u) << worker.error().message;
}

TEST_F(WorkerTest, TellsHowItEnded) {
  auto worker = create({}, [](int) { __builtin_trap(); });
  ASSERT_TRUE(worker);
  EXPECT_EQ(hear(*worker), "");
  EXPECT_EQ(worker->end(), "signal " + std::to_string(SIGILL));
  worker = create({}, [](int) {});
  EXPECT_EQ(hear(*worker), "");
  EXPECT_EQ(worker->end(), "exit code 0");
  EXPECT_FALSE(*worker);
}

TEST_F(WorkerTest, ThatHasEndedReapsNobodyElse) {
  auto worker = create({}, [](int) {});
  ASSERT_TRUE(worker);
  worker->end();
  Worker moved = std::move(*worker);
  const pid_t other = fork();
  if (other == 0) ::_exit(3);
  siginfo_t ended{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(other), &ended, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(moved.end(), "reaped before");
  EXPECT_EQ(worker->end(), "reaped before");
  EXPECT_EQ(Worker().end(), "reaped before");
  EXPECT_EQ(UserspaceNetwork().end(), "no word");
  WiringProcess wiring_process;
  EXPECT_FALSE(wiring_process.await());
  int status = 0;
  EXPECT_EQ(waitpid(other, &status, WNOHANG), other);
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

TEST_F(WorkerTest, EndsWithItsParent) {
  const Pipe told = create_pipe().value();
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    // A worker that looks at nothing: only the kernel ends it.
    const auto worker = create({}, [](int) {
      for (;;) ::poll(nullptr, 0, -1);
    });
    const pid_t pid = worker ? worker->pid() : 0;
    if (::write(told.write.get(), &pid, sizeof pid) != sizeof pid) ::_exit(1);
    for (;;) ::pause();
  }
  pid_t worker = 0;
  ASSERT_EQ(::read(told.read.get(), &worker, sizeof worker), static_cast<ssize_t>(sizeof worker));
  ASSERT_GT(worker, 0);
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, worker, 0)));
  ASSERT_TRUE(pidfd);
  EXPECT_FALSE(gone(pidfd.get(), 0));
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_TRUE(gone(pidfd.get(), 60'000));
}

}  // namespace
}  // namespace bailey::network
