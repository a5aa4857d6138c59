// What a worker that was taken over can ask of the kernel: each attempt is made outside first, where it works.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "network/confined/worker.h"
#include "tests/network/worker_attempt.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"

namespace bailey::network {
namespace {

using tests::attempt;

constexpr int kMptcp = 262, kFastOpenConnect = 30, kFastOpenNoCookie = 34;
const std::string kRefused = std::to_string(EPERM);

// A listener of loopback, on a port of the kernel's choice.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
    EXPECT_EQ(::listen(socket_.get(), 64), 0);
    EXPECT_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address_), &size), 0);
  }
  const sockaddr_in& address() const { return address_; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  sockaddr_in6 mapped() const {
    sockaddr_in6 result{};
    result.sin6_family = AF_INET6;
    result.sin6_port = address_.sin_port;
    result.sin6_addr.s6_addr[10] = result.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&result.sin6_addr.s6_addr[12], &address_.sin_addr, sizeof address_.sin_addr);
    return result;
  }
  uint16_t port() const { return ntohs(address_.sin_port); }

 private:
  Fd socket_;
  sockaddr_in address_{};
};

Fd open_socket(int type, int protocol = 0, int family = AF_INET) { return Fd(::socket(family, type | SOCK_CLOEXEC, protocol)); }

int error_of(long result) { return result < 0 ? errno : 0; }

struct Attempt {
  const char* what;
  std::function<int()> call;  // an errno
};

int send_by(const Listener& to, int protocol, long call, int flags) {
  const Fd socket = open_socket(SOCK_STREAM, protocol);
  if (!socket) return errno;
  char text[] = "from a worker";
  iovec data{text, sizeof text};
  mmsghdr message{};
  message.msg_hdr.msg_name = const_cast<sockaddr*>(to.get());
  message.msg_hdr.msg_namelen = sizeof to.address();
  message.msg_hdr.msg_iov = &data;
  message.msg_hdr.msg_iovlen = 1;
  if (call == SYS_sendto) return error_of(::sendto(socket.get(), text, sizeof text, flags, to.get(), sizeof to.address()));
  if (call == SYS_sendmsg) return error_of(::sendmsg(socket.get(), &message.msg_hdr, flags));
  return error_of(::sendmmsg(socket.get(), &message, 1, flags));
}

int connect_by(const Listener& to, int protocol, int option = 0) {
  const Fd socket = open_socket(SOCK_STREAM, protocol);
  const int on = 1;
  if (!socket || (option && ::setsockopt(socket.get(), IPPROTO_TCP, option, &on, sizeof on) < 0)) return errno;
  return error_of(::connect(socket.get(), to.get(), sizeof to.address()));
}

class WorkerCalls : public testing::Test {
  bailey::tests::LeakCheck leaks_;
};

TEST_F(WorkerCalls, NothingButTcpConnectsPastLandlock) {
  const Listener listener;
  constexpr int kFlags = MSG_NOSIGNAL;
  const Attempt all[] = {
      {"multipath TCP", [&] { return connect_by(listener, kMptcp); }},
      {"TCP by its number", [&] { return connect_by(listener, IPPROTO_TCP); }},
      {"sendto", [&] { return send_by(listener, 0, SYS_sendto, kFlags | MSG_FASTOPEN); }},
      {"sendmsg", [&] { return send_by(listener, 0, SYS_sendmsg, kFlags | MSG_FASTOPEN); }},
      {"sendmmsg", [&] { return send_by(listener, 0, SYS_sendmmsg, kFlags | MSG_FASTOPEN); }},
      {"sendto by multipath TCP", [&] { return send_by(listener, kMptcp, SYS_sendto, kFlags | MSG_FASTOPEN); }},
      {"TCP_FASTOPEN_CONNECT", [&] { return connect_by(listener, 0, kFastOpenConnect); }},
      {"TCP_FASTOPEN_NO_COOKIE", [&] { return connect_by(listener, 0, kFastOpenNoCookie); }},
  };
  for (const Attempt& one : all) {
    const int outside = one.call();
    EXPECT_TRUE(outside == 0 || outside == EINPROGRESS || outside == EPROTONOSUPPORT) << one.what << ": " << outside;
    // Even where the port is one of its own: Landlock is not what refuses it.
    WorkerSpec spec;
    spec.connects = {listener.port()};
    EXPECT_EQ(attempt(spec, one.call), kRefused) << one.what;
  }
}

TEST_F(WorkerCalls, ConnectsByTcpOfEitherFamilyToItsPortsOnly) {
  BAILEY_REQUIRE("landlock");
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) < 4) GTEST_SKIP() << "needs Landlock ABI 4";
  const Listener mine, other;
  const auto mapped = [](const Listener& to) {
    const Fd socket = open_socket(SOCK_STREAM, 0, AF_INET6);
    const sockaddr_in6 address = to.mapped();
    return error_of(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  };
  // A connection that is let go of (AF_UNSPEC), to begin another one.
  const auto twice = [](const Listener& first, const Listener& second) {
    const Fd socket = open_socket(SOCK_STREAM);
    const sockaddr nowhere{};
    if (::connect(socket.get(), first.get(), sizeof first.address()) < 0) return -1;
    if (::connect(socket.get(), &nowhere, sizeof nowhere) < 0) return -2;
    return error_of(::connect(socket.get(), second.get(), sizeof second.address()));
  };
  WorkerSpec spec;
  spec.connects = {mine.port()};
  EXPECT_EQ(mapped(other), 0);
  EXPECT_EQ(twice(mine, other), 0);
  EXPECT_EQ(attempt(spec, [&] { return connect_by(mine, 0); }), "0");
  EXPECT_EQ(attempt(spec, [&] { return mapped(mine); }), "0");
  const std::string denied = std::to_string(EACCES);
  EXPECT_EQ(attempt(spec, [&] { return connect_by(other, 0); }), denied);
  EXPECT_EQ(attempt(spec, [&] { return mapped(other); }), denied);
  EXPECT_EQ(attempt(spec, [&] { return twice(mine, other); }), denied);
  // An address for a socket that has no connection is none without MSG_FASTOPEN.
  EXPECT_EQ(attempt(spec, [&] { return send_by(other, 0, SYS_sendto, MSG_NOSIGNAL); }), std::to_string(EPIPE));
}

TEST_F(WorkerCalls, NobodyListens) {
  const auto listen_by = [](int protocol, bool bound) {
    return [=] {
      const Fd socket = open_socket(SOCK_STREAM, protocol);
      sockaddr_in own{};
      own.sin_family = AF_INET;
      own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (!socket || (bound && ::bind(socket.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) < 0)) return errno;
      return error_of(::listen(socket.get(), 1));
    };
  };
  const auto bind_datagrams = [] {
    const Fd socket = open_socket(SOCK_DGRAM);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    return error_of(::bind(socket.get(), reinterpret_cast<sockaddr*>(&own), sizeof own));
  };
  for (const int protocol : {0, kMptcp})
    for (const bool bound : {true, false}) {
      const int outside = listen_by(protocol, bound)();
      EXPECT_TRUE(outside == 0 || outside == EPROTONOSUPPORT) << outside;
      EXPECT_EQ(attempt({}, listen_by(protocol, bound)), kRefused) << protocol;
    }
  EXPECT_EQ(bind_datagrams(), 0);
  EXPECT_EQ(attempt({}, bind_datagrams), kRefused);
}

// Not tried outside: asking for some of them would load their modules.
TEST_F(WorkerCalls, OtherProtocolsDoNotReachTheKernel) {
  constexpr int kSctp = 132, kSmc = 256, kL2tp = 115, kDccpType = 6, kDccp = 33, kUdpLite = 136, kSmcFamily = 43;
  const struct {
    int family, type, protocol;
  } all[] = {{AF_INET, SOCK_STREAM, kSctp},
             {AF_INET, SOCK_SEQPACKET, kSctp},
             {AF_INET6, SOCK_STREAM, kSctp},
             {AF_INET, SOCK_STREAM, kSmc},
             {AF_INET6, SOCK_STREAM, kSmc},
             {kSmcFamily, SOCK_STREAM, 0},
             {kSmcFamily, SOCK_STREAM, 1},
             {AF_INET, SOCK_DGRAM, kL2tp},
             {AF_INET6, SOCK_DGRAM, kL2tp},
             {AF_INET, kDccpType, kDccp},
             {AF_INET, SOCK_DGRAM, kUdpLite},
             {AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
             {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
             {AF_INET, SOCK_RAW, IPPROTO_ICMP},
             {AF_INET, SOCK_RAW, IPPROTO_RAW},
             {AF_INET6, SOCK_STREAM, kMptcp},
             {AF_INET, SOCK_STREAM, kMptcp},
             {AF_INET, SOCK_PACKET, 0},
             {AF_INET, SOCK_SEQPACKET, 0},
             {AF_INET, SOCK_RDM, 0},
             {AF_UNIX, SOCK_STREAM, 0},
             {AF_INET, SOCK_DGRAM, IPPROTO_UDP}};
  for (const auto& [family, type, protocol] : all)
    EXPECT_EQ(attempt({}, [=] { return open_socket(type, protocol, family) ? 0 : errno; }), kRefused)
        << family << " " << type << " " << protocol;
  for (const int family : {AF_INET, AF_INET6})
    for (const int type : {SOCK_STREAM | SOCK_NONBLOCK, SOCK_DGRAM | SOCK_NONBLOCK})
      EXPECT_EQ(attempt({}, [=] { return open_socket(type, 0, family) ? 0 : errno; }), "0") << family << " " << type;
}

TEST_F(WorkerCalls, OptionsAreThoseThatAWorkerSets) {
  const auto set = [](int type, int level, int option) {
    return [=] {
      const Fd socket = open_socket(type);
      const linger value{1, 1};  // the longest; of most the kernel reads the first number
      return error_of(::setsockopt(socket.get(), level, option, &value, option == SO_LINGER ? sizeof value : sizeof(int)));
    };
  };
  for (const int option : {SO_SNDBUF, SO_KEEPALIVE, SO_LINGER})
    EXPECT_EQ(attempt({}, set(SOCK_STREAM, SOL_SOCKET, option)), "0");
  for (const int option : {TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT})
    EXPECT_EQ(attempt({}, set(SOCK_STREAM, IPPROTO_TCP, option)), "0") << option;
  // Numbers of include/uapi/linux/tcp.h and asm-generic/socket.h.
  for (const int option : {TCP_REPAIR, TCP_FASTOPEN, kFastOpenConnect, 31 /* ULP */, 33 /* FASTOPEN_KEY */, kFastOpenNoCookie})
    EXPECT_EQ(attempt({}, set(SOCK_STREAM, IPPROTO_TCP, option)), kRefused) << option;
  for (const int option : {SO_RCVBUF, SO_BINDTODEVICE, SO_ATTACH_FILTER, SO_DETACH_FILTER, 50 /* ATTACH_BPF */,
                           51 /* ATTACH_REUSEPORT_CBPF */, 52 /* ATTACH_REUSEPORT_EBPF */, SO_ZEROCOPY})
    EXPECT_EQ(attempt({}, set(SOCK_DGRAM, SOL_SOCKET, option)), kRefused) << option;
  EXPECT_EQ(attempt({}, set(SOCK_DGRAM, IPPROTO_IP, IP_OPTIONS)), kRefused);
  EXPECT_EQ(attempt({}, set(SOCK_DGRAM, IPPROTO_IPV6, IPV6_RTHDR)), kRefused);
  const auto get = [](int level, int option) {
    return [=] {
      const Fd socket = open_socket(SOCK_STREAM);
      char value[256];
      socklen_t size = sizeof value;
      return error_of(::getsockopt(socket.get(), level, option, value, &size));
    };
  };
  EXPECT_EQ(get(IPPROTO_TCP, TCP_INFO)(), 0);
  EXPECT_EQ(attempt({}, get(IPPROTO_TCP, TCP_INFO)), kRefused);
  EXPECT_EQ(attempt({}, get(SOL_SOCKET, SO_ERROR)), "0");
}

TEST_F(WorkerCalls, FlagsAndLimitsAreThoseThatAWorkerUses) {
  const auto send_with = [](int flags) {
    return [=] {
      const Fd socket = open_socket(SOCK_DGRAM);
      return error_of(::send(socket.get(), "x", 1, flags));
    };
  };
  EXPECT_EQ(attempt({}, send_with(MSG_NOSIGNAL | MSG_DONTWAIT)), std::to_string(EDESTADDRREQ));
  for (const int flags :
       std::initializer_list<int>{MSG_OOB, MSG_FASTOPEN, MSG_ZEROCOPY, MSG_DONTROUTE, MSG_FASTOPEN | MSG_NOSIGNAL})
    EXPECT_EQ(attempt({}, send_with(flags)), kRefused) << flags;
  const auto limit = [](pid_t pid, bool change) {
    return [=] {
      rlimit value{16, 16};
      return error_of(::prlimit(pid, RLIMIT_NOFILE, change ? &value : nullptr, change ? nullptr : &value));
    };
  };
  EXPECT_EQ(attempt({}, limit(0, false)), "0");
  EXPECT_EQ(attempt({}, limit(0, true)), kRefused);
  EXPECT_EQ(attempt({}, limit(1, false)), kRefused);
  const auto map = [](int flags) {
    return [=] {
      return error_of(
          ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0) == MAP_FAILED ? -1 : 0);
    };
  };
  EXPECT_EQ(attempt({}, map(0)), "0");
  EXPECT_EQ(attempt({}, map(MAP_HUGETLB)), kRefused);
  EXPECT_EQ(attempt({}, [] { return Pipe(create_pipe().value_or(Pipe())).write ? 0 : errno; }), "0");
  const auto pipe_with = [](int flags) {
    return [=] {
      int ends[2];
      return error_of(::pipe2(ends, flags));
    };
  };
  EXPECT_EQ(attempt({}, pipe_with(O_EXCL)), kRefused) << "O_NOTIFICATION_PIPE";
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(WorkerCalls, MemoryIsBounded) {
  const auto map = [](size_t mebibytes) {
    return [=] {
      void* mapped = ::mmap(nullptr, mebibytes << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      return error_of(mapped == MAP_FAILED ? -1 : ::munmap(mapped, mebibytes << 20));
    };
  };
  EXPECT_EQ(map(512)(), 0);
  EXPECT_EQ(attempt({}, map(64)), "0");
  EXPECT_EQ(attempt({}, map(512)), std::to_string(ENOMEM));
}
#endif

TEST_F(WorkerCalls, NoCallThatNoWorkerMakes) {
  for (const long number : {SYS_read,           SYS_write,
                            SYS_readv,          SYS_writev,
                            SYS_sendmmsg,       SYS_recvmmsg,
                            SYS_fcntl,          SYS_dup,
                            SYS_ioctl,          SYS_socketpair,
                            SYS_accept,         SYS_io_uring_setup,
                            SYS_io_uring_enter, SYS_futex,
                            SYS_getpid,         SYS_rt_sigaction,
                            SYS_rt_sigreturn,   SYS_rt_sigprocmask,
                            SYS_vmsplice,       SYS_tee,
                            SYS_sendfile,       SYS_landlock_create_ruleset,
                            SYS_seccomp,        SYS_prctl,
                            SYS_wait4,          SYS_tgkill})
    EXPECT_EQ(attempt({}, [=] { return error_of(::syscall(number, -1, 0, 0, 0, 0, 0)); }), kRefused) << number;
}

}  // namespace
}  // namespace bailey::network
