// What only an ordinary user meets. Native only: it is about that backend's ids.
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/command.h"
#include "base/files.h"
#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

using UserContract = Contract;

// As in a container or another sandbox: the range of /etc/subuid does not exist there, and the host's root looks like nobody.
TEST_F(UserContract, RunsInAUserNamespaceThatHasNobodyElse) {
  RunOptions wish = options({"--user", "33:44"}, {"/bin/sh", "-c", "echo STARTED; cat /proc/self/uid_map"});
  wish.before_exec = [] {
    const std::string uid = std::to_string(geteuid()), gid = std::to_string(getegid());
    if (unshare(CLONE_NEWUSER) != 0 || !files::write_existing(AT_FDCWD, "/proc/self/setgroups", "deny") ||
        !files::write_existing(AT_FDCWD, "/proc/self/uid_map", uid + " " + uid + " 1") ||
        !files::write_existing(AT_FDCWD, "/proc/self/gid_map", gid + " " + gid + " 1"))
      _exit(97);
  };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out.substr(0, 8), "STARTED\n") << got;
  EXPECT_EQ(std::count(got.out.begin(), got.out.end(), '\n'), 2) << "one id: " << got;
}

// Links and packet filters on the host are root's to make.
TEST_F(UserContract, HasNoBridge) {
  const Outcome got = run({"--net", "bridge"}, {"/bin/true"});
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_NE(got.err.find("root"), std::string::npos) << got;
  EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
}

int taken(const std::string& text) { return std::atoi(text.substr(std::min(text.find(": "), text.size() - 1) + 1).c_str()); }

// To the kernel the workload is the caller: what it counts by user, one sandbox takes half of at most.
TEST_F(UserContract, LeavesTheCallerHalfOfWhatTheKernelCounts) {
  const auto outside = [](const std::string& pool) {
    const char* probes = std::getenv("BAILEY_PROBES");
    const auto got = run_command(
        {.program = std::string(probes ? probes : "") + "/probe_pools", .arguments = {pool, "200000"}, .environment = {}});
    return got ? taken(got->out) : -1;
  };
  rlimit few{3000, 3000};  // the usual 100000 timers take their time
  ASSERT_EQ(setrlimit(RLIMIT_SIGPENDING, &few), 0);
  for (const char* pool : {"inotify", "timers", "queues"}) {
    const int before = outside(pool);
    ASSERT_GT(before, 3) << pool << ": this host has none to take";
    RunOptions wish = options(with_probes({"-i", "--open-files", "4096"}), {probe("pools"), pool, "200000", "hold"});
    wish.keep_input_open = true;
    BaileyProcess process(std::move(wish));
    EXPECT_TRUE(process.wait_for_output("\n"));
    const int left = outside(pool);
    const Outcome got = process.finish();
    EXPECT_GE(taken(got.out), before / 2 - 1) << pool << ": " << got;  // it took what it could get
    EXPECT_GE(left, before / 2 - 1) << pool << ": " << got;
  }
}

// The workload is the caller, and every other id of a range is there.
TEST_F(UserContract, IsTheWorkloadUnderAnyNumber) {
  for (const char* user : {"0:0", "33:44", "65535:65535", "0:7", "7:0", "1000680000:1000690000"}) {
    const std::string uid(user, std::string_view(user).find(':'));
    const Outcome got = run({"--user", user}, {"/bin/cat", "/proc/self/uid_map"});
    EXPECT_EQ(got.exit_code, 0) << user << ": " << got;
    std::istringstream lines(got.out);
    uint64_t inner = 0, outer = 0, size = 0, all = 0;
    bool found = false;
    while (lines >> inner >> outer >> size) {
      all += size;
      found |= std::to_string(inner) == uid && outer == geteuid() && size == 1;
    }
    EXPECT_TRUE(found) << user << ": " << got;
    EXPECT_EQ(all, caller() == Caller::ranges ? 65536u : 1u) << user << ": " << got;
  }
}

}  // namespace
}  // namespace bailey::tests
