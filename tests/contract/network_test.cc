// The network: none unless asked for, and the host's only for the trusted who insist.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

// What a workload might reach: a TCP port on every address of the host and an abstract unix socket.
class NetworkContract : public Contract {
 protected:
  void SetUp() override {
    Contract::SetUp();
    tcp_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    socklen_t size = sizeof at;
    ASSERT_EQ(bind(tcp_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    ASSERT_EQ(listen(tcp_.get(), 64), 0);
    ASSERT_EQ(getsockname(tcp_.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = std::to_string(ntohs(at.sin_port));

    abstract_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    name_ = "bailey-contract-" + std::to_string(getpid());
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    name_.copy(un.sun_path + 1, sizeof un.sun_path - 1);
    ASSERT_EQ(
        bind(abstract_.get(), reinterpret_cast<sockaddr*>(&un), static_cast<socklen_t>(sizeof(sa_family_t) + 1 + name_.size())),
        0);
    ASSERT_EQ(listen(abstract_.get(), 64), 0);
  }
  void TearDown() override {
    tcp_.reset();
    abstract_.reset();
    Contract::TearDown();
  }
  Outcome try_to_reach(const Arguments& flags) {
    return run(with_probes(flags), {probe("network"), port_, name_, "127.0.0.1"});
  }

  Fd tcp_, abstract_;
  std::string port_, name_;
};

TEST_F(NetworkContract, IsOnlyALoopbackOfItsOwn) {
  for (const Arguments& flags : {Arguments{}, Arguments{"--net", "none"}}) {
    const Outcome got = try_to_reach(flags);
    EXPECT_EQ(got.exit_code, 0) << got;
    EXPECT_EQ(got.out, "interface lo\nown-loopback connected\nabstract ECONNREFUSED\ntcp 127.0.0.1 ECONNREFUSED\n") << got;
    EXPECT_EQ(got.text("network"), "none") << got;
  }
}

TEST_F(NetworkContract, DoesNotReachTheHostsOwnAddresses) {
  const Outcome got = run(with_probes(), {probe("network"), port_, name_, "10.0.0.1", "169.254.169.254", "8.8.8.8"});
  for (const char* address : {"10.0.0.1", "169.254.169.254", "8.8.8.8"}) {
    const std::string line =
        "tcp " + std::string(address) + " E";  // an errno; the sentry of 2022 has another one than the kernel
    EXPECT_NE(got.out.find(line), std::string::npos) << address << ": " << got;
  }
}

TEST_F(NetworkContract, IsTheHostsOnlyForThoseWhoInsist) {
  const Outcome timid = try_to_reach({"--net", "host"});
  EXPECT_EQ(timid.exit_code, 125) << timid;
  EXPECT_NE(timid.err.find("--allow-host-network"), std::string::npos) << timid;
  EXPECT_EQ(timid.out, "");

  const Outcome insisting = try_to_reach({"--net", "host", "--allow-host-network"});
  EXPECT_EQ(insisting.exit_code, 0) << insisting;
  EXPECT_NE(insisting.out.find("tcp 127.0.0.1 connected"), std::string::npos) << insisting;
}

TEST_F(NetworkContract, IsNeverTheHostsForUntrusted) {
  const Outcome got = run_bailey({.arguments = {"run", "--net", "host", "--allow-host-network", "--", "/bin/true"}});
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_NE(got.err.find("untrusted"), std::string::npos) << got;
}

}  // namespace
}  // namespace bailey::tests
