// The small switches, as the kernel reports them.
#include "native/hardening.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "native/identity/namespace_owner.h"
#include "tests/support/require.h"
#include "tests/unit/native_child.h"

namespace bailey::native {
namespace {

TEST(Hardening, NoNewPrivilegesAndNoDumping) {
  EXPECT_EQ(tests::in_child([](int out) {
              dprintf(out, "%d ", prctl(PR_GET_DUMPABLE));
              dprintf(out, "%d %d ", set_no_new_privileges(), forbid_dumping());
              dprintf(out, "%d %d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_DUMPABLE));
            }),
            "1 0 0 1 0");
}

TEST(Hardening, JoinsAnEmptyKeyRingOfItsOwn) {
  const std::string report = tests::in_child([](int out) {
    const auto session = [] { return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0); };
    const long before = session();
    if (before < 0 && errno == ENOSYS) {
      dprintf(out, "no key rings");
      return;
    }
    const int joined = join_fresh_keyring();
    dprintf(out, "%d %d %ld", joined, session() != before, syscall(SYS_keyctl, KEYCTL_READ, session(), nullptr, 0));
  });
  if (report == "no key rings") GTEST_SKIP() << "needs a kernel with key rings";
  EXPECT_EQ(report, "0 1 0");
}

// What the change of the effective user takes away has to come back: a caller's PDEATHSIG, capabilities, undumpability.
TEST(NamespaceOwner, LeavesTheProcessAsItWas) {
  BAILEY_REQUIRE("root");
  const std::string report = tests::in_child([](int out) {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct before[2], during[2], after[2];
    int signal = 0;
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGUSR2);
    syscall(SYS_capget, &header, before);
    {
      NamespaceOwner owner;
      dprintf(out, "%d ", owner.become(12345).has_value());
      syscall(SYS_capget, &header, during);
      dprintf(out, "%u %u ", geteuid(), getuid());
    }
    syscall(SYS_capget, &header, after);
    prctl(PR_GET_PDEATHSIG, &signal);
    dprintf(out, "%u %d %d ", geteuid(), prctl(PR_GET_DUMPABLE), signal == SIGUSR2);
    dprintf(out, "%d %d", memcmp(before, during, sizeof before), memcmp(before, after, sizeof before));
  });
  EXPECT_EQ(report, "1 12345 0 0 0 1 0 0");
}

}  // namespace
}  // namespace bailey::native
