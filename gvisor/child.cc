#include "gvisor/child.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/child.h"
#include "gvisor/plan.h"
#include "seccomp/builtin.h"

namespace bailey::gvisor {

namespace {

// Enough for the builds of 2024 (which move stdio beyond 256) and of 2026 (beyond 252): docs/gvisor.md.
constexpr int kSpareFd = 400;

class Child {
 public:
  explicit Child(const ChildInputs& in) : in_(in) {}

  [[noreturn]] void run() {
    die_with_parent();
    join_cgroup();
    attach();
    pivot();
    if (in_.oom_score_adj) set_oom_score();
    if (::setsid() < 0) fail(ChildStep::session);
    place_descriptors();
    reset_signals();
    ::umask(022);
    forbid_set_id_files();
    if (in_.independent && ::prctl(PR_SET_PDEATHSIG, 0) < 0) fail(ChildStep::parent);
    static const char* const kNoEnvironment[] = {nullptr};
    ::execve("/runsc/runsc", const_cast<char* const*>(in_.arguments), const_cast<char* const*>(kNoEnvironment));
    fail(ChildStep::exec);
  }

 private:
  [[noreturn]] void fail(ChildStep step, int attachment = -1) {
    const Failure failure{step, errno, attachment};
    (void)!::write(in_.status, &failure, sizeof failure);
    ::_exit(125);
  }

  void die_with_parent() {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail(ChildStep::parent);
    // The parent may have died before that line; getppid() is 0 here in any case. With it the last reader of `status` is gone.
    ::close(in_.parents_status);
    pollfd status{in_.status, POLLOUT, 0};
    if (::poll(&status, 1, 0) > 0 && (status.revents & POLLERR)) ::_exit(125);
  }

  void join_cgroup() {
    for (const int tasks : in_.join)
      if (::write(tasks, "0", 1) < 0) fail(ChildStep::cgroup);
  }

  void attach() {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) fail(ChildStep::mounts);
    // Over /proc, because that is a directory everywhere; pivot_root takes it away again.
    if (::move_mount(in_.root_mount, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0) fail(ChildStep::mounts);
    if (::fchdir(in_.root_mount) < 0) fail(ChildStep::mounts);
    int index = 0;
    for (const ChildAttachment& a : in_.attachments) {
      if (::move_mount(a.tree, "", AT_FDCWD, a.target, MOVE_MOUNT_F_EMPTY_PATH) < 0) fail(ChildStep::mounts, index);
      ++index;
    }
    // Its own: the host's would show host pids, and runsc looks for its children by number.
    if (::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) < 0) fail(ChildStep::proc);
    // Builds of 2022 take a network namespace for the host's when rmem_default is there, and newer kernels show that in each.
    // That this one is not the host's was made sure of when its port was made (network/bridge/port.cc).
    if (in_.hide_network_settings &&
        ::mount("tmpfs", "proc/sys/net", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=1") < 0)
      fail(ChildStep::proc);
    if (in_.terminal &&
        ::mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0600,mode=0600") < 0)
      fail(ChildStep::pts);
    if (in_.overlay &&
        ::mount("overlay", "rootfs", "overlay", MS_NOSUID | MS_NODEV, "lowerdir=lower,upperdir=upper,workdir=work") < 0)
      fail(ChildStep::overlay);
  }

  void pivot() {
    if (::syscall(SYS_pivot_root, ".", ".") < 0) fail(ChildStep::pivot);
    if (::umount2(".", MNT_DETACH) < 0) fail(ChildStep::pivot);
    if (::chdir("/") < 0) fail(ChildStep::pivot);
  }

  void set_oom_score() {
    // The /proc files of a process that cannot be dumped are root's: not ours in a user namespace. exec allows it again anyway.
    (void)::prctl(PR_SET_DUMPABLE, 1);
    const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    (void)::prctl(PR_SET_DUMPABLE, 0);
    size_t length = 0;
    while (in_.oom_score_adj[length]) ++length;
    if (file < 0 || ::write(file, in_.oom_score_adj, length) < 0) fail(ChildStep::oom_score);
    ::close(file);
  }

  void place_descriptors() {
    // First everything is closed at exec, then what runsc may have is put in place without that mark.
    if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) fail(ChildStep::descriptors);
    for (int i = 0; i < 3; ++i)
      if (::dup2(in_.stdio[i], i) < 0) fail(ChildStep::descriptors);
    if (in_.job >= 0 && ::dup2(in_.job, kJobFd) < 0) fail(ChildStep::descriptors);
    if (in_.report >= 0 && ::dup2(in_.report, kReportFd) < 0) fail(ChildStep::descriptors);
    if (in_.spare >= 0) (void)::dup2(in_.spare, kSpareFd);  // only speed: RLIMIT_NOFILE may forbid it
  }

  void forbid_set_id_files() {
    // By CAP_SYS_ADMIN: no_new_privs would take capabilities from runsc's own exec. SPEC_ALLOW: this filter is no reason to
    // slow gVisor down by speculation controls.
    errno = seccomp::install_filter(seccomp::kHost.program, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    if (errno) fail(ChildStep::filter);
  }

  const ChildInputs& in_;
};

}  // namespace

const char* to_text(ChildStep step) {
  switch (step) {
    case ChildStep::parent: return "parent";
    case ChildStep::cgroup: return "cgroup";
    case ChildStep::mounts: return "mounts";
    case ChildStep::proc: return "proc";
    case ChildStep::pts: return "pts";
    case ChildStep::overlay: return "overlay";
    case ChildStep::pivot: return "pivot";
    case ChildStep::oom_score: return "oom_score";
    case ChildStep::session: return "session";
    case ChildStep::descriptors: return "descriptors";
    case ChildStep::filter: return "filter";
    case ChildStep::exec: return "exec";
    case ChildStep::count: break;
  }
  return "?";
}

void run_child(const ChildInputs& inputs) { Child(inputs).run(); }

}  // namespace bailey::gvisor
