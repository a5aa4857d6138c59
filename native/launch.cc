#include "native/launch.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "init/image.h"
#include "native/namespace_owner.h"

namespace bailey::native {

namespace {

constexpr const char* kNamespacesRemedy = "`bailey doctor` tells which namespaces this host allows";
constexpr unsigned kMemfdExecutable = 0x10;  // MFD_EXEC, Linux 6.3: says that this memfd is meant to be executed

// init in a sealed memfd: what a sandbox executes as PID 1 cannot be written from inside it (CVE-2019-5736).
Result<Fd> create_init_image() {
  const auto image = init::init_image();
  int raw = ::memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING | kMemfdExecutable);
  if (raw < 0 && errno == EINVAL) raw = ::memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING);  // before Linux 6.3
  Fd fd(raw);
  if (!fd) return sys_error("creating a memfd for init", errno);
  TRY(files::write_fd(fd.get(), {reinterpret_cast<const char*>(image.data()), image.size()}, "init's memfd"));
  if (::fchmod(fd.get(), 0555) < 0) return sys_error("setting the mode of init's memfd", errno);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
    return sys_error("sealing init's memfd", errno);
  return fd;
}

// One clone that is not finished: killed and reaped unless released.
class Pending {
 public:
  Pending(int pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() {
    if (!pidfd_) return;
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
    while (::waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {}
  }
  int pid() const { return pid_; }
  Fd release() { return std::move(pidfd_); }

 private:
  int pid_;
  Fd pidfd_;
};

// oom_score_adj from here, because the child loses its right to its own /proc files when it becomes inner root (proc(5),
// "dumpable").
Result<> prepare_child(int pid, const LaunchInputs& in) {
  const std::string file = "/proc/" + std::to_string(pid) + "/oom_score_adj";
  TRY(files::write_existing(AT_FDCWD, file, std::to_string(in.plan->oom_score_adj)));
  return in.ids->write(pid);
}

// The pipes of the streams belong to the workload's user, so that it can open /dev/stdout, as it can outside. Nobody else has
// them: they are made for this sandbox.
Result<> give_streams(const LaunchInputs& in) {
  for (const Fd* stream : {&in.stdio.in, &in.stdio.out, &in.stdio.err}) {
    struct stat info{};
    if (!*stream || ::fstat(stream->get(), &info) < 0 || !S_ISFIFO(info.st_mode)) continue;
    if (::fchown(stream->get(), in.ids->host_uid(in.plan->user.uid), static_cast<gid_t>(-1)) < 0)
      return sys_error("giving a stream to the workload's user", errno);
  }
  return {};
}

Result<> map_trees(int pid, const Plan& plan, std::span<const int> trees) {
  Fd user_namespace;
  for (size_t i = 0; i < trees.size(); ++i) {
    if (!plan.trees[i].id_mapped || trees[i] < 0) continue;
    if (!user_namespace) user_namespace = TRY(files::open("/proc/" + std::to_string(pid) + "/ns/user", O_RDONLY));
    const int error = map_tree_ids(trees[i], user_namespace.get(), plan.trees[i].recursive);
    if (error == 0) continue;
    const std::string kind = file_system_name(trees[i]);
    auto failed = sys_error("mapping the ids of " + plan.trees[i].path + " (" + kind + ")", error);
    failed.error().remedy = kind +
                            ", or what is mounted below it, takes no id-mapped mounts: put the directory on ext4, xfs, "
                            "btrfs or tmpfs, or use --runtime gvisor";
    return failed;
  }
  return {};
}

Error setup_error(const Plan& plan, const SetupReport& report) {
  std::string attempted = "setting up the sandbox";
  if (report.operation >= 0 && static_cast<size_t>(report.operation) < plan.operations.size())
    attempted += ": " + plan.operations[static_cast<size_t>(report.operation)].path;
  if (report.landlock_rule >= 0 && static_cast<size_t>(report.landlock_rule) < plan.landlock.rules.size())
    attempted += ": Landlock rule for " + plan.landlock.rules[static_cast<size_t>(report.landlock_rule)].path;
  Error error = sys_error(attempted, report.error).error();
  error.step = to_text(report.step);
  if (report.step == ChildStep::namespaces) error.remedy = kNamespacesRemedy;
  if (report.step == ChildStep::mounts && report.error == ELOOP)
    error.remedy = "the root directory has a symbolic link there: put a directory in its place";
  return error;
}

// Waits for one message. 0 bytes: the child is gone.
Result<ssize_t> receive(int socket, void* buffer, size_t size) {
  for (;;) {
    const ssize_t got = ::recv(socket, buffer, size, 0);
    if (got >= 0) return got;
    if (errno == ECONNRESET) return 0;
    if (errno != EINTR) return sys_error("waiting for the sandbox's set-up", errno);
  }
}

}  // namespace

Result<Fd> await_setup(const Launched& launched, const Plan& plan, dispatcher::Steps& steps) {
  const int64_t began = clock::monotonic_ns();
  const int socket = launched.socket.get();
  Fd terminal;
  SetupReport report;
  if (plan.terminal) {
    // A child that fails before the pty sends its report instead, which receive_fd takes for a message without descriptor.
    const ssize_t got = ::recv(socket, &report, sizeof report, MSG_PEEK);
    if (got == 1) terminal = TRY(receive_fd(socket));
  }
  const ssize_t got = TRY(receive(socket, &report, sizeof report));
  if (got == 0)
    return fail(Fault::failed, "setting up the sandbox: the new process was killed",
                "see the kernel log; was it the OOM killer?");
  if (got != sizeof report || report.magic != SetupReport::kMagic)
    return fail(Fault::failed, "setting up the sandbox: the new process sent no report");
  if (report.error != 0) return std::unexpected(setup_error(plan, report));
  int64_t from = began;
  for (size_t i = 0; i < static_cast<size_t>(ChildStep::exec); ++i) {
    const int64_t until = std::max(report.end_ns[i], from);
    steps.push_back({to_text(static_cast<ChildStep>(i)), until - from});
    from = until;
  }
  return terminal;
}

Result<Launched> launch(LaunchInputs in, dispatcher::Steps& steps) {
  const Plan& plan = *in.plan;
  const int64_t start = clock::monotonic_ns();
  std::vector<Fd> owned_trees;
  std::vector<int> trees;
  for (const TreeTarget& target : in.tree_targets) {
    const int tree = plan.privileged ? open_tree_source(target, false) : -1;
    if (plan.privileged && tree < 0) {
      auto failed = sys_error("mounting " + target.source->path, -tree);
      failed.error().step = "trees";
      return failed;
    }
    owned_trees.emplace_back(tree);
    trees.push_back(tree);
  }
  if (plan.privileged) TRY(give_streams(in));
  const Fd image = TRY(create_init_image());
  SocketPair sockets = TRY(create_socket_pair());
  std::vector<int> join;
  if (in.cgroup)
    for (const Fd& fd : in.cgroup->join_fds()) join.push_back(fd.get());

  ChildInputs child;
  child.plan = &plan;
  const sock_fprog filter = plan.seccomp.base_program();
  child.filter = &filter;
  child.join = join;
  child.tree_targets = in.tree_targets;
  child.trees = trees;
  child.secrets = in.secrets;
  child.socket = sockets.theirs.get();
  child.parent_socket = sockets.ours.get();
  child.stdio[0] = in.stdio.in.get();
  child.stdio[1] = in.stdio.out.get();
  child.stdio[2] = in.stdio.err.get();
  child.init_image = image.get();

  int pidfd = -1;
  clone_args args{};
  args.flags = (plan.clone_flags & kCloneAtOnce) | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (in.cgroup && in.cgroup->clone_into_fd() >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(in.cgroup->clone_into_fd());
  }
  // The child's /proc files belong to root unless it is dumpable, and only root may then write its id maps.
  if (!plan.privileged) ::prctl(PR_SET_DUMPABLE, 1);
  const int64_t before_clone = clock::monotonic_ns();
  steps.push_back({"trees", before_clone - start});
  long pid = -1;
  int clone_error = 0;
  {
    NamespaceOwner owner;
    if (plan.privileged) TRY(owner.become(in.ids->host_uid(0)));
    pid = ::syscall(SYS_clone3, &args, sizeof args);
    clone_error = errno;
    if (pid == 0) run_child(child);
  }
  if (!plan.privileged) ::prctl(PR_SET_DUMPABLE, 0);  // ours alone: the child has its own copy, until it is hardened
  if (pid < 0) {
    auto failed = sys_error("creating the sandbox's namespaces", clone_error);
    failed.error().step = "clone";
    failed.error().remedy = kNamespacesRemedy;
    return failed;
  }
  Pending pending(static_cast<int>(pid), Fd(pidfd));
  sockets.theirs.reset();
  steps.push_back({"clone", clock::monotonic_ns() - before_clone});

  if (auto mapped = prepare_child(pending.pid(), in); !mapped)
    return std::unexpected(std::move(mapped).error().with("mapping user ids").in_step("id_maps"));
  if (auto mapped = map_trees(pending.pid(), plan, trees); !mapped)
    return std::unexpected(std::move(mapped).error().in_step("id_maps"));
  if (::send(sockets.ours.get(), "g", 1, MSG_NOSIGNAL) < 0) return sys_error("releasing the sandbox's first process", errno);

  Launched launched;
  launched.pid = pending.pid();
  launched.pidfd = pending.release();
  launched.socket = std::move(sockets.ours);
  return launched;
}

}  // namespace bailey::native
