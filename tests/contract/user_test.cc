// What only an ordinary user meets. Native only: it is about that backend's ids.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

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

// The workload is the caller, and every other id of a range is there.
TEST_F(UserContract, IsTheWorkloadUnderAnyNumber) {
  for (const char* user : {"0:0", "33:44", "65535:65535", "0:7", "7:0"}) {
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
