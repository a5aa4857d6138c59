#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "base/fd.h"
#include "base/files.h"
#include "host/cgroup/cgroup.h"
#include "host/probe/probe.h"
#include "host/probe/trial.h"

namespace bailey::host {

namespace {

using State = Probe::State;

// 1 files, 2 rename across directories, 3 truncate, 4 TCP ports, 5 ioctl on devices, 6 abstract sockets and
// signals.
constexpr int64_t kFullLandlock = 6;

// A process that ends at once, in the cgroup of `cgroup` when that is a descriptor. Returns its pidfd, -1 on
// failure.
int clone_with_pidfd(int cgroup) {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup);
  }
  const long child = ::syscall(SYS_clone3, &args, sizeof args);
  if (child == 0) ::_exit(0);
  return child < 0 ? -1 : pidfd;
}

bool wait_for(int pidfd) {
  siginfo_t info{};
  return ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) == 0;
}

}  // namespace

Probe probe_landlock() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    step.value = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (!step(step.value > 0, "landlock_create_ruleset")) return;
    landlock_ruleset_attr attributes{};
    attributes.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE;
    const Fd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
    if (!step(static_cast<bool>(rules), "landlock_create_ruleset")) return;
    if (!step(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs")) return;
    step(::syscall(SYS_landlock_restrict_self, rules.get(), 0) == 0, "landlock_restrict_self");
  });
  const std::string abi = "ABI " + std::to_string(trial.value);
  if (trial.ok() && trial.value >= kFullLandlock) return {"Landlock", State::ok, abi, "", ""};
  const std::string cost = "native has one layer less; everything else stands";
  if (trial.ok())
    return {"Landlock", State::degraded, abi, "no rules for what later ABIs know (" + std::to_string(kFullLandlock) + ": all)",
            "a newer kernel"};
  return {"Landlock", State::degraded, trial.text(), cost,
          "a kernel with CONFIG_SECURITY_LANDLOCK, and landlock in its lsm= list"};
}

Probe probe_seccomp() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    constexpr uint32_t kMark = 77;
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | kMark),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{sizeof code / sizeof code[0], code};
    if (!step(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs")) return;
    if (!step(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp")) return;
    const long answer = ::syscall(SYS_getppid);
    if (answer != -1 || errno != static_cast<int>(kMark)) step.fail("filter", EIO);
  });
  if (trial.ok()) return {"seccomp", State::ok, "filters work", "", ""};
  return {"seccomp", State::missing, trial.text(), "no native sandbox", "a kernel with CONFIG_SECCOMP_FILTER"};
}

Probe probe_pidfd() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    const pid_t child = ::fork();
    if (child == 0)
      for (;;) ::pause();
    const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    const bool sent = step(static_cast<bool>(pidfd), "pidfd_open") &&
                      step(::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) == 0, "pidfd_send_signal");
    if (!sent) ::kill(child, SIGKILL);
    if (sent) step(wait_for(pidfd.get()), "waitid(P_PIDFD)");
  });
  if (trial.ok()) return {"pidfd", State::ok, "open, signal, wait", "", ""};
  return {"pidfd", State::missing, trial.text(), "no sandbox at all: processes are signalled and awaited through pidfds",
          "Linux 5.4, or a seccomp profile that lets pidfd calls through"};
}

Probe probe_clone3() {
  const Trial plain = try_in_child([](TrialSteps& step) {
    const Fd pidfd(clone_with_pidfd(-1));
    if (step(static_cast<bool>(pidfd), "clone3")) step(wait_for(pidfd.get()), "waitid(P_PIDFD)");
  });
  if (!plain.ok())
    return {"clone3", State::missing, plain.text(), "no native sandbox",
            "Linux 5.3, or a seccomp profile that lets clone3 through"};
  const auto mounts = find_cgroups();
  if (!mounts || mounts->layout != CgroupLayout::v2) return {"clone3", State::ok, "with pidfd", "", ""};
  const std::string own = mounts->unified->directory + mounts->unified->own_path;
  const Trial into = try_in_child([&](TrialSteps& step) {
    const auto cgroup = files::open(own, O_PATH | O_DIRECTORY);
    if (!cgroup) return step.fail("open", cgroup.error().sys);
    const Fd pidfd(clone_with_pidfd(cgroup->get()));
    // Not being allowed to is no news about the kernel.
    if (!pidfd && (errno == EACCES || errno == EPERM)) return;
    if (step(static_cast<bool>(pidfd), "CLONE_INTO_CGROUP")) step(wait_for(pidfd.get()), "waitid(P_PIDFD)");
  });
  if (into.ok()) return {"clone3", State::ok, "with pidfd and CLONE_INTO_CGROUP", "", ""};
  return {"clone3", State::missing, into.text(), "no native sandbox with limits on cgroup v2", "Linux 5.7"};
}

Probe probe_close_range() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    const Fd fd(::dup(0));
    step(::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0, "close_range");
  });
  if (trial.ok()) return {"close_range", State::ok, "with CLOEXEC", "", ""};
  return {"close_range", State::missing, trial.text(), "bailey does not start: descriptors of the caller could reach a sandbox",
          "Linux 5.11, or a seccomp profile that lets close_range through"};
}

Probe probe_memfd() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    const Fd fd(::memfd_create("bailey-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!step(static_cast<bool>(fd), "memfd_create")) return;
    if (!step(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0, "F_ADD_SEALS"))
      return;
    if (::write(fd.get(), "x", 1) == 1) step.fail("a sealed memfd took a write", EIO);
  });
  if (trial.ok()) return {"memfd", State::ok, "sealable", "", ""};
  return {"memfd", State::missing, trial.text(), "no sandbox at all", "a kernel with CONFIG_MEMFD_CREATE"};
}

Probe probe_rlimit_raising() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    rlimit limit{};
    if (!step(::getrlimit(RLIMIT_MSGQUEUE, &limit) == 0, "getrlimit")) return;
    const rlimit lower{4096, 4096}, raised{4096, 8192};
    if (!step(::setrlimit(RLIMIT_MSGQUEUE, &lower) == 0, "setrlimit")) return;
    step(::setrlimit(RLIMIT_MSGQUEUE, &raised) == 0, "raising a hard limit");
  });
  rlimit files_limit{};
  ::getrlimit(RLIMIT_NOFILE, &files_limit);
  if (trial.ok()) return {"raising limits", State::ok, "CAP_SYS_RESOURCE", "", ""};
  return {"raising limits", State::degraded, trial.text(),
          "a sandbox cannot have higher limits than this process (open files: " + std::to_string(files_limit.rlim_max) + ")",
          "CAP_SYS_RESOURCE, or lower limits in the client (podman: default_ulimits in containers.conf)"};
}

}  // namespace bailey::host
