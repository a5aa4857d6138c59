// What many runs leave behind: no process, mount, network namespace, cgroup, file or descriptor. The fixture compares the host
// before and after (tests/support/leaks.h).
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

constexpr int kGvisorShare = 20;  // a gVisor start costs that many native ones

int count_from(const char* name, int standard) {
  const char* given = std::getenv(name);
  return given && std::atoi(given) > 0 ? std::atoi(given) : standard;
}

// Of the first process of the sandbox that this Bailey has; "" when it cannot be read.
std::string network_namespace_of_sandbox(pid_t bailey) {
  const std::string children = "/proc/" + std::to_string(bailey) + "/task/" + std::to_string(bailey) + "/children";
  const int first = std::atoi(read_file(children).c_str());
  std::error_code error;
  return first > 0 ? fs::read_symlink("/proc/" + std::to_string(first) + "/ns/net", error).string() : "";
}

class Leaks : public Contract {
 protected:
  void SetUp() override {
    Contract::SetUp();
    const int share = gvisor() ? kGvisorShare : 1;
    runs_ = std::max(10, count_from("BAILEY_LEAK_RUNS", 200) / share);
    at_once_ = std::max(8, count_from("BAILEY_LEAK_AT_ONCE", 32) / (gvisor() ? 5 : 1));
    // The first run makes what stays for good: the runtime directory, the file of id ranges, runsc's answers.
    EXPECT_EQ(run({"/bin/true"}).exit_code, 0);
  }

  int runs_ = 0, at_once_ = 0;
};

TEST_F(Leaks, NothingAfterManyRunsInARow) {
  for (int i = 0; i < runs_; ++i) {
    const Outcome got = run({"/bin/true"});
    ASSERT_EQ(got.exit_code, 0) << "run " << i << " of " << runs_ << ": " << got;
  }
}

// All of them alive together, in namespaces of their own, and then gone together.
TEST_F(Leaks, NothingAfterManyAtOnce) {
  std::vector<BaileyProcess> running;
  for (int i = 0; i < at_once_; ++i) {
    RunOptions wish = options({"-i"}, {"/bin/sh", "-c", "echo ready; read word; exit " + std::to_string(i % 100)});
    wish.keep_input_open = true;
    running.emplace_back(std::move(wish));
  }
  for (BaileyProcess& process : running) EXPECT_TRUE(process.wait_for_output("ready\n"));
  if (caller() == Caller::root && !gvisor()) {  // who may read it, and where it is not somewhere below runsc
    std::set<std::string> namespaces;
    for (const BaileyProcess& process : running) namespaces.insert(network_namespace_of_sandbox(process.pid()));
    namespaces.erase("");
    EXPECT_EQ(namespaces.size(), running.size()) << "they were not all there at once";
  }
  int code = 0;
  for (BaileyProcess& process : running) {
    const Outcome got = process.finish();
    EXPECT_EQ(got.exit_code, code % 100) << got;
    ++code;
  }
}

// Every second one killed at any time: what that leaves is gc's, and nothing of a living one is touched.
TEST_F(Leaks, NothingAfterEverySecondOneWasKilled) {
  std::minstd_rand random(static_cast<unsigned>(getpid()));
  std::vector<BaileyProcess> running;
  for (int i = 0; i < at_once_; ++i) {
    RunOptions wish = options({"-i"}, {"/bin/sh", "-c", "sleep 600 & echo ready; read word; exit 7"});
    wish.keep_input_open = true;
    running.emplace_back(std::move(wish));
  }
  for (size_t i = 1; i < running.size(); i += 2) {
    usleep(static_cast<useconds_t>(random() % 20'000));
    running[i].signal(SIGKILL);
    EXPECT_EQ(running[i].finish().signal, SIGKILL);
  }
  EXPECT_EQ(run_bailey({.arguments = {"gc"}}).exit_code, 0);  // while others live
  for (size_t i = 0; i < running.size(); i += 2) {
    EXPECT_TRUE(running[i].wait_for_output("ready\n"));
    const Outcome got = running[i].finish();
    EXPECT_EQ(got.exit_code, 7) << got;
  }
  collect_garbage();
}

}  // namespace
}  // namespace bailey::tests
