// System calls that a workload has no business with: what they answer inside, and that they answer otherwise outside.
#include <set>

#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

class CallProbes : public Probes {
 protected:
  // Each name answers `expected` inside and something else on the host, where nothing filters. A call that this host's kernel
  // does not have proves nothing: it is counted out, and `least` names must be left.
  void expect_refused(const Verdicts& seen, const Verdicts& control, const std::map<std::string, std::string>& expected,
                      size_t least) {
    size_t compared = 0;
    for (const auto& [name, answer] : expected) {
      EXPECT_EQ(verdict(seen, name), answer) << name;
      EXPECT_NE(verdict(control, name), "") << name << " was not tried on the host";
      EXPECT_NE(verdict(control, name), "EPERM") << name << ": the host's root is refused it, too";
      if (verdict(control, name) != answer && !is_absent(verdict(control, name))) ++compared;
    }
    EXPECT_GE(compared, least) << "too few that this host allows: " << to_text(control);
  }
  static bool is_absent(const std::string& answer) {
    return answer == "ENOSYS" || answer == "EAFNOSUPPORT" || answer == "ESOCKTNOSUPPORT" || answer == "EPROTONOSUPPORT";
  }
};

// What gVisor's own kernel does for the guest's own processes, in the guest's own memory. Nothing of it reaches the host.
const std::set<std::string> kHarmlessInGvisor = {"kcmp", "keyctl", "mbind", "set_mempolicy", "personality"};

TEST_F(CallProbes, FindsTheRareAndThePrivilegedRefused) {
  const Verdicts seen = inside("kernel", {"table"}), control = outside("kernel", {"table"});
  if (gvisor()) {  // its kernel has its own answers, and none of them may be "done"
    for (const auto& [name, answer] : seen) {
      EXPECT_TRUE(answer != "done" || kHarmlessInGvisor.contains(name)) << name << ": " << answer;
      EXPECT_NE(answer.substr(0, 3), "SIG") << name;
    }
    EXPECT_EQ(seen.size(), control.size());
    EXPECT_EQ(verdict(control, "process_madvise"), "EBADF");
    return;
  }
  std::map<std::string, std::string> expected;
  const std::set<std::string> older_way = {"clone3", "openat2", "io_setup", "statmount", "listmount", "lsm_list_modules"};
  for (const auto& [name, answer] : control)
    expected[name] = older_way.contains(name) ? "ENOSYS" : name.starts_with("seccomp") ? "EINVAL" : "EPERM";
  expect_refused(seen, control, expected, 45);
}

TEST_F(CallProbes, FindsNoWayToANamespace) {
  const Verdicts seen = inside("kernel", {"namespaces"}), control = outside("kernel", {"namespaces"});
  size_t allowed_outside = 0;
  for (const auto& [name, answer] : seen) {
    if (verdict(control, name) == "done") ++allowed_outside;
    if (gvisor()) {
      // Its kernel makes user, mount and time namespaces of its own for everybody; MountProbes shows that they open nothing.
      const bool own = name.ends_with(" user") || name.ends_with(" mnt") || name.ends_with(" time") ||
                       (gvisor_2022() && name.ends_with(" cgroup"));  // the build of 2022 takes the flag and does nothing
      EXPECT_TRUE(answer != "done" || own) << name;
    } else {
      const bool of_init = name.starts_with("setns /proc/1/");  // not even to be opened: init is undumpable
      EXPECT_EQ(answer, name.starts_with("clone3") ? "ENOSYS" : of_init ? "EACCES" : "EPERM") << name;
    }
  }
  EXPECT_GE(allowed_outside, 20u) << to_text(control);
}

// A filter that looks at x86-64 numbers only is passed by through the other doors.
TEST_F(CallProbes, FindsTheDoorsOfOtherArchitecturesShut) {
  const Verdicts seen = inside("kernel", {"entry"}), control = outside("kernel", {"entry"});
#ifdef __x86_64__
  // The native filter kills; gVisor's kernel has no such calls, and the one of 2022 takes the number for its own writev.
  EXPECT_EQ(verdict(seen, "i386"), gvisor_2022() ? "EBADF" : gvisor() ? "ENOSYS" : "SIGSYS");
  EXPECT_EQ(verdict(seen, "x32"), gvisor() ? "ENOSYS" : "SIGSYS");
  for (const char* door : {"i386", "x32"})
    EXPECT_TRUE((std::set<std::string>{"done", "ENOSYS", "SIGSEGV"}).contains(verdict(control, door))) << to_text(control);
#endif
}

// vsock reaches the hypervisor from every network namespace; packet sockets, the firewall, audit, the crypto API ...
TEST_F(CallProbes, FindsNoSocketsBeyondUnixAndTheInternet) {
  const Verdicts seen = inside("kernel", {"sockets"}), control = outside("kernel", {"sockets"});
  const std::set<std::string> allowed = {"unix",      "inet",          "inet6",
                                         "inet tcp",  "inet udp",      "inet6 tcp",
                                         "inet6 udp", "netlink route", "netlink audit above route",
                                         "pair unix"};
  std::map<std::string, std::string> refused;
  for (const auto& [name, answer] : seen) {
    if (allowed.contains(name)) EXPECT_EQ(answer, "done") << name;
    else if (!gvisor()) refused[name] = "EPERM";
    // Its kernel knows no other families, and of netlink also its own events.
    else EXPECT_TRUE(answer != "done" || name == "netlink uevent") << name;
  }
  if (!gvisor()) expect_refused(seen, control, refused, 8);
  for (const char* reachable : {"packet", "netlink audit", "netlink audit with high bits", "raw inet"})
    EXPECT_EQ(verdict(control, reachable), "done") << reachable;
}

// bubblewrap and flatpak, CVE-2017-5226, CVE-2019-10063, CVE-2023-28100: the kernel reads 32 bits of the request.
TEST_F(CallProbes, Cve2017_5226_Cve2019_10063_Cve2023_28100_TypesIntoNoTerminal) {
  const Verdicts seen = inside("kernel", {"terminal"}), control = outside("kernel", {"terminal"});
  bool typed_outside = false;
  for (const auto& [name, answer] : control) {
    if (name.starts_with("typed")) typed_outside = typed_outside || answer == "done";
    else EXPECT_EQ(answer, "EBADF") << name;
  }
  EXPECT_TRUE(typed_outside) << "this kernel types for nobody: " << to_text(control);
  for (const auto& [name, answer] : seen) {
    if (name.starts_with("typed")) EXPECT_EQ(answer, gvisor() ? "ENOTTY" : "EPERM") << name;  // gVisor has no TIOCSTI
    else if (name.starts_with("TIOCGWINSZ") || gvisor()) EXPECT_EQ(answer, "EBADF") << name;
    else EXPECT_EQ(answer, "EPERM") << name;
  }
  EXPECT_EQ(seen.size(), control.size());
}

}  // namespace
}  // namespace bailey::tests
