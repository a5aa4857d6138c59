#include "native/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "base/fd.h"
#include "init/job.h"
#include "native/hardening.h"
#include "native/joined_namespaces.h"
#include "native/root/builder.h"
#include "native/root/kernel_abi.h"
#include "native/root/trees.h"
#include "seccomp/builtin.h"

namespace bailey::native {

namespace {

// The only descriptors that init is given in addition to stdio: the socket, or the two FIFOs of an independent sandbox.
constexpr int kInitIn = 3, kInitOut = 4;
constexpr int kSetupFailed = 125;

int64_t now_ns() {
  timespec ts{};
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * 1'000'000'000LL + ts.tv_nsec;
}

// The child's state and one method per step; each returns 0 or an errno.
class Child {
 public:
  explicit Child(const ChildInputs& inputs) : in_(inputs), plan_(*inputs.plan) {}

  [[noreturn]] void run() {
    step(ChildStep::namespaces, unshare_namespaces());
    step(ChildStep::network, bring_loopback_up());
    step(ChildStep::hostname, name_host());
    step(ChildStep::limits, limit_itself());
    step(ChildStep::handed, take_what_is_handed());
    step(ChildStep::cgroup, join_cgroup());
    step(ChildStep::identity, become_inner_root());
    step(ChildStep::root, make_root());
    step(ChildStep::mounts, make_mounts());
    step(ChildStep::pivot, leave_old_root(root_.root, plan_.root));
    step(ChildStep::terminal, set_stdio());
    step(ChildStep::privileges, drop_privileges());
    step(ChildStep::landlock, restrict_paths());
    step(ChildStep::seccomp, in_.filter ? seccomp::install_filter(*in_.filter, 0) : 0);
    // Without the report the parent would wait for ever.
    if (!send(report_)) ::_exit(kSetupFailed);
    exec_init();
  }

 private:
  void step(ChildStep which, int error) {
    report_.end_ns[static_cast<size_t>(which)] = now_ns();
    if (error == 0) return;
    report_.step = which;
    report_.error = error;
    send(report_);
    ::_exit(kSetupFailed);
  }

  template <typename Message>
  bool send(const Message& report) const {
    ssize_t sent = -1;
    do {
      sent = ::send(in_.socket, &report, sizeof report, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == sizeof report;
  }

  // All but the cgroup namespace, which has its root where the process is.
  int unshare_namespaces() {
    ::close(in_.parent_socket);
    // PDEATHSIG is cleared by a change of credentials below and set again there.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return errno;
    for (size_t i = 0; i < plan_.joins.size(); ++i) {
      const uint64_t flag = plan_.joins[i].flag;
      if (is_entered_by_child(flag) && ::setns(in_.joins[i], static_cast<int>(flag)) < 0) return errno;
    }
    return ::unshare(static_cast<int>(plan_.clone_flags & ~kCloneAtOnce & ~uint64_t{CLONE_NEWTIME})) < 0 ? errno : 0;
  }

  // The ids are mapped then. End of file instead: the parent died.
  int take_what_is_handed() {
    const int count = receive_fds(in_.socket, in_.handed.data(), in_.handed.size());
    if (count < 0) return -count;
    std::span<const int> rest = in_.handed.first(static_cast<size_t>(count));
    const auto take = [&](int& into) {
      if (rest.empty()) return false;
      into = rest.front();
      rest = rest.subspan(1);
      return true;
    };
    bool all = take(init_image_);
    if (!plan_.terminal)
      for (int& stream : stdio_) all &= take(stream);
    if (in_.has_secrets) all &= take(root_inputs_.secrets);
    if (plan_.privileged)
      for (int& tree : in_.trees) all &= take(tree);
    if (plan_.independent) all &= take(to_init_) && take(from_init_);
    join_ = rest;
    return all ? 0 : EBADMSG;
  }

  // "0" is the writer itself: 30 us each, where naming a pid from outside waits for an RCU grace period (6-14 ms). Before
  // anything is made whose size somebody else decides, so that all of that is accounted for.
  int join_cgroup() {
    for (const int fd : join_)
      if (::write(fd, "0", 1) != 1) return errno;
    return plan_.new_cgroup_namespace && ::unshare(CLONE_NEWCGROUP) < 0 ? errno : 0;
  }

  int become_inner_root() {
    // An ordinary user's own id is the workload's inside (id_map.h), and paths are walked and mount points made as that user;
    // the capabilities are there whatever the id.
    const uint32_t uid = plan_.privileged ? 0 : plan_.user.uid;
    const uint32_t gid = plan_.privileged ? 0 : plan_.user.gid;
    if (::syscall(SYS_setresgid, gid, gid, gid) < 0) return errno;
    if (plan_.many_ids && ::syscall(SYS_setgroups, 0, nullptr) < 0) return errno;
    if (::syscall(SYS_setresuid, uid, uid, uid) < 0) return errno;
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return errno;
    // The parent is outside this pid namespace, so getppid() is 0 for a living and for a dead one alike; the socket tells.
    char byte = 0;
    if (::recv(in_.socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) return EPIPE;
    ::umask(0);
    if (int error = plan_.new_keyring ? join_fresh_keyring() : 0) return error;
    if (plan_.complete) return set_kernel_parameters();
    return plan_.privileged ? 0 : leave_half_to_the_caller();
  }

  // Through the host's /proc, whose /proc/sys speaks of the namespaces of whoever opens a file of it. The sandbox's own may be
  // anything.
  int set_kernel_parameters() const {
    for (const auto& [file, value] : plan_.sysctl) {
      const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
      if (fd < 0) return errno;
      const bool written = ::write(fd, value.data(), value.size()) == static_cast<ssize_t>(value.size());
      const int error = written ? 0 : errno;
      ::close(fd);
      if (error) return error;
    }
    return 0;
  }

  // No user namespace below this one, whatever a later filter might miss. Still the host's own /proc: nothing of the sandbox is
  // mounted yet; the file speaks of the user namespace of whoever opens it (namespaces(7), /proc/sys/user).
  static int refuse_user_namespaces() {
    const int fd = ::open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return errno;
    const int error = ::write(fd, "0", 1) < 0 ? errno : 0;
    ::close(fd);
    return error;
  }

  int bring_loopback_up() {
    if (!plan_.loopback_up) return 0;
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    ifreq request{};
    std::memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP;
    const int error = ::ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? errno : 0;
    ::close(fd);
    return error;
  }

  int name_host() {
    if (!plan_.hostname.empty() && ::sethostname(plan_.hostname.data(), plan_.hostname.size()) < 0) return errno;
    if (!plan_.domainname.empty() && ::setdomainname(plan_.domainname.data(), plan_.domainname.size()) < 0) return errno;
    return 0;
  }

  // What depends on nothing that the parent makes, while it makes it.
  int limit_itself() {
    // A session of its own: kill(0, ...) inside harms nobody outside, and there is no terminal of the caller's to inject into.
    if (::setsid() < 0) return errno;
    if (plan_.personality && ::personality(*plan_.personality) < 0) return errno;
    if (plan_.complete) return 0;
    if (int error = limit_bounding_set(plan_.caps)) return error;
    return refuse_user_namespaces();
  }

  int make_root() {
    for (size_t i = 0; i < in_.trees.size(); ++i) {
      if (in_.trees[i] >= 0) continue;
      const int tree = open_tree_source(in_.admitted_trees[i], true);
      if (tree < 0) return -tree;
      in_.trees[i] = tree;
    }
    root_inputs_.plan = &plan_.root;
    root_inputs_.trees = in_.trees.data();
    return enter_root(root_inputs_, &root_);
  }

  int make_mounts() {
    const RootResult result = build_root(root_inputs_, root_);
    report_.operation = result.operation;
    return result.error;
  }

  int set_stdio() {
    int from[3] = {stdio_[0], stdio_[1], stdio_[2]};
    if (plan_.terminal) {
      if (int error = send_fds(in_.socket, &root_inputs_.terminal_master, 1)) return error;
      from[0] = from[1] = from[2] = root_inputs_.terminal_slave;
    }
    for (int i = 0; i < 3; ++i) {
      // As launch.cc does for root. An ordinary user's pipes are the inner root's here. An independent sandbox has its
      // caller's.
      struct stat info{};
      const bool ours =
          !plan_.privileged && plan_.many_ids && !plan_.independent && ::fstat(from[i], &info) == 0 && S_ISFIFO(info.st_mode);
      if (ours && ::fchown(from[i], plan_.user.uid, static_cast<gid_t>(-1)) < 0) return errno;
      if (::dup2(from[i], i) < 0) return errno;
    }
    return 0;
  }

  int drop_privileges() {
    if (plan_.complete) return ::prctl(PR_SET_PDEATHSIG, plan_.independent ? 0 : SIGKILL) < 0 ? errno : 0;
    const bundle::User& user = plan_.user;
    if (int error = keep_caps(plan_.caps)) return error;
    if (plan_.many_ids && ::syscall(SYS_setgroups, user.additional_gids.size(), user.additional_gids.data()) < 0) return errno;
    if (::syscall(SYS_setresgid, user.gid, user.gid, user.gid) < 0) return errno;
    if (::syscall(SYS_setresuid, user.uid, user.uid, user.uid) < 0) return errno;
    if (int error = apply_caps(plan_.caps)) return error;
    if (int error = set_no_new_privileges()) return error;
    return ::prctl(PR_SET_PDEATHSIG, plan_.independent ? 0 : SIGKILL) < 0 ? errno : 0;
  }

  int restrict_paths() {
    const LandlockFailure failure = apply_landlock(plan_.landlock);
    report_.landlock_rule = failure.rule;
    return failure.error;
  }

  // Low numbers are settled before anything is closed: all moves above their place, then everything else goes.
  [[noreturn]] void exec_init() {
    const int last = plan_.independent ? kInitOut : kInitIn;
    const auto raise = [last](int fd) { return ::fcntl(fd, F_DUPFD_CLOEXEC, last + 1); };
    const int image = raise(init_image_);
    const int in = raise(plan_.independent ? to_init_ : in_.socket), out = plan_.independent ? raise(from_init_) : -1;
    bool settled = image >= 0 && put(in, kInitIn) && (!plan_.independent || put(out, kInitOut));
    settled &= reset_signals() && ::syscall(SYS_close_range, last + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
    char name[] = "init";
    char first[] = {'0' + kInitIn, '\0'}, second[] = {'0' + kInitOut, '\0'}, joined[] = "joined";
    char* argv[] = {name, first, nullptr, nullptr, nullptr};
    char** next = argv + 2;
    if (plan_.independent) *next++ = second;
    if (!(plan_.clone_flags & CLONE_NEWPID)) *next++ = joined;
    char* const no_environment[] = {nullptr};
    if (plan_.complete) start_undumpable();
    if (settled) ::syscall(SYS_execveat, image, "", argv, no_environment, AT_EMPTY_PATH);
    const init::Report failed{init::kReportMagic, init::ReportKind::failed, errno, init::Step::init, 0};
    (void)!::write(last, &failed, sizeof failed);
    ::_exit(kSetupFailed);
  }

  // Not closed on exec.
  static bool put(int fd, int number) { return fd >= 0 && ::dup2(fd, number) >= 0; }

  // Init wants every signal blocked, so that none is lost before it is ready to forward it (init/job.h). Handlers went with
  // CLONE_CLEAR_SIGHAND; what the dispatcher ignores (SIGPIPE) would outlive exec.
  static bool reset_signals() {
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    sigset_t all;
    ::sigfillset(&all);
    return ::sigaction(SIGPIPE, &standard, nullptr) == 0 && ::sigprocmask(SIG_SETMASK, &all, nullptr) == 0;
  }

  const ChildInputs& in_;
  const Plan& plan_;
  SetupReport report_;
  int init_image_ = -1;                // sealed memfd
  int to_init_ = -1, from_init_ = -1;  // of an independent sandbox, in place of the socket
  int stdio_[3] = {-1, -1, -1};
  std::span<const int> join_;  // cgroup v1 `tasks` descriptors
  RootInputs root_inputs_;
  NewRoot root_;
};

}  // namespace

const char* to_text(ChildStep step) {
  constexpr const char* kNames[] = {"namespaces", "network", "hostname", "limits",   "id_maps",    "cgroup",   "identity",
                                    "root",       "mounts",  "pivot",    "terminal", "privileges", "landlock", "seccomp"};
  static_assert(std::size(kNames) == static_cast<size_t>(ChildStep::count));
  return step < ChildStep::count ? kNames[static_cast<size_t>(step)] : "unknown";
}

void run_child(const ChildInputs& inputs) { Child(inputs).run(); }

}  // namespace bailey::native
