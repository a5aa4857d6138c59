// What makes a sandbox's filter and port while the start goes on, and takes them away whatever becomes of the start.
#include "network/wiring_process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "tests/network/firewalls.h"
#include "tests/support/temp_dir.h"

namespace bailey::network::tests {
namespace {

class WiringProcessTest : public FirewallTest {
 protected:
  void SetUp() override {
    FirewallTest::SetUp();
    if (!IsSkipped()) netns_ = must(Netns::create());
  }
  void TearDown() override {
    netns_ = Netns();
    FirewallTest::TearDown();
  }

  WiringProcess begin() {
    const auto make = [this]() -> Result<Wiring> {
      Wiring wiring;
      wiring.firewall = TRY(Firewall::create(spec(3, {"203.0.113.2:80"})));
      wiring.port = TRY(Port::create(bridge_, {.name = "bly3", .slot = 3}, netns_));
      return wiring;
    };
    return must(WiringProcess::begin(make, netns_.fd(), {netns_.fd()}));
  }
  bool stands() const {
    const bool table = ruleset().find("bailey-3") != std::string::npos;
    const bool port = run(host_, {"ip", "-brief", "link"}).find("bly3") != std::string::npos;
    EXPECT_TRUE(table || !port) << "a port without its filter";
    return table;
  }
  bool goes() const {
    const auto deadline = clock::Deadline::in_ms(60'000);
    while (stands() && !deadline.passed()) usleep(10'000);
    return !stands();
  }

  Netns netns_;
};

TEST_F(WiringProcessTest, TakesAwayWhatItMade) {
  WiringProcess wiring_process = begin();
  must(wiring_process.await());
  const Fd server = serve(outside_, "203.0.113.2", 80, SOCK_STREAM);
  EXPECT_TRUE(stands());
  EXPECT_EQ(connect_to(netns_, "203.0.113.2", 80), 0);
  EXPECT_NE(connect_to(netns_, "203.0.113.2", 81), 0);
  const pid_t pid = wiring_process.pid();
  EXPECT_TRUE(wiring_process.let_go());
  EXPECT_TRUE(goes());
  EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
}

TEST_F(WiringProcessTest, TakesAwayWhatNobodyWaitedFor) {
  const pid_t pid = [this] { return begin().pid(); }();
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(stands());
}

TEST_F(WiringProcessTest, OutlivesSignalsAndAKilledParent) {
  const Pipe told = create_pipe().value();
  const pid_t parent = fork();
  if (parent == 0) {
    WiringProcess wiring_process = begin();
    const pid_t pid = wiring_process.await() ? wiring_process.pid() : 0;
    (void)!write(told.write.get(), &pid, sizeof pid);
    for (;;) pause();
  }
  pid_t pid = 0;
  ASSERT_EQ(read(told.read.get(), &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  ASSERT_GT(pid, 0);
  EXPECT_EQ(bailey::tests::read_file("/proc/" + std::to_string(pid) + "/comm"), "bailey-network\n");
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGALRM}) kill(pid, number);
  EXPECT_TRUE(stands());
  kill(parent, SIGKILL);
  EXPECT_EQ(waitpid(parent, nullptr, 0), parent);
  EXPECT_TRUE(goes());
}

TEST_F(WiringProcessTest, TellsWhyItCouldNot) {
  WiringProcess wiring_process = must(WiringProcess::begin(
      []() -> Result<Wiring> { return std::unexpected(Error{"no room", "make some", Fault::unavailable, ENOSPC, {}}); }, -1,
      {}));
  const pid_t pid = wiring_process.pid();
  const auto made = wiring_process.await();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "no room");
  EXPECT_EQ(made.error().remedy, "make some");
  EXPECT_EQ(made.error().fault, Fault::unavailable);
  EXPECT_EQ(made.error().sys, ENOSPC);
  EXPECT_EQ(waitpid(pid, nullptr, 0), -1) << "it was reaped";
  EXPECT_FALSE(wiring_process);
}

TEST_F(WiringProcessTest, IsMissedWhenItWasKilled) {
  WiringProcess wiring_process = begin();
  must(wiring_process.await());
  kill(wiring_process.pid(), SIGKILL);
  EXPECT_EQ(waitpid(wiring_process.pid(), nullptr, 0), wiring_process.pid());
  EXPECT_FALSE(wiring_process.let_go());
  EXPECT_TRUE(stands()) << "which is its parent's to remove";
  auto routes = must(NetlinkSocket::open(NETLINK_ROUTE));
  must(Port::remove(routes, 3, {bridge_.mark}));
  must(Firewall::remove(nft_, 3, {bridge_.mark}));

  WiringProcess early = must(WiringProcess::begin([]() -> Result<Wiring> { _exit(7); }, -1, {}));
  const auto made = early.await();
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("exit code 7"), std::string::npos) << made.error().message;
}

TEST_F(WiringProcessTest, HoldsNothingElse) {
  const Pipe other = create_pipe().value();
  WiringProcess wiring_process = begin();
  must(wiring_process.await());
  size_t sockets = 0, others = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(wiring_process.pid()) + "/fd")) {
    const std::string what = std::filesystem::read_symlink(entry).string();
    if (what.starts_with("socket:")) ++sockets;
    else if (what != "/dev/null" && !what.starts_with("net:")) ++others;
  }
  EXPECT_EQ(sockets, 3u) << "its channel, routes, filters";
  EXPECT_EQ(others, 0u);
  const pid_t pid = wiring_process.pid();
  wiring_process = WiringProcess();
  EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
}

}  // namespace
}  // namespace bailey::network::tests
