#include "native/launch.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
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
#include "base/pidfd.h"
#include "base/step_aside.h"
#include "native/identity/namespace_owner.h"
#include "native/init_image.h"
#include "native/joined_namespaces.h"

namespace bailey::native {

namespace {

constexpr const char* kAccessTimesRemedy = "leave out its options for access times: they are locked in this mount namespace";
constexpr const char* kNamespacesRemedy = "`bailey doctor` tells which namespaces this host allows";
constexpr size_t kMostOtherHanded = 64;  // init, streams, secrets, channel, and a cgroup of every hierarchy (at most 32)

// oom_score_adj from here, because the child loses its right to its own /proc files when it becomes inner root (proc(5),
// "dumpable").
Result<> prepare_child(const PendingLaunch& begun) {
  const std::string file = "/proc/" + std::to_string(begun.pid()) + "/oom_score_adj";
  TRY(files::write_existing(AT_FDCWD, file, std::to_string(begun.inputs().plan->oom_score_adj)));
  return begun.inputs().ids->write(begun.pid());
}

// The pipes of the streams belong to the workload's user, so that it can open /dev/stdout, as it can outside. Nobody else has
// them: they are made for this sandbox.
Result<> give_streams(const dispatcher::Stdio& stdio, const BeginInputs& in) {
  if (stdio.are_the_callers) return {};
  for (const Fd* stream : {&stdio.in, &stdio.out, &stdio.err}) {
    struct stat info{};
    if (!*stream || ::fstat(stream->get(), &info) < 0 || !S_ISFIFO(info.st_mode)) continue;
    if (::fchown(stream->get(), in.ids->host_uid(in.plan->user.uid), static_cast<gid_t>(-1)) < 0)
      return sys_error("giving a stream to the workload's user", errno);
  }
  return {};
}

Result<> map_trees(int pid, const Plan& plan, const std::vector<Fd>& trees) {
  Fd user_namespace;
  for (size_t i = 0; i < trees.size(); ++i) {
    if (!plan.root.trees[i].id_mapped) continue;
    if (!user_namespace) user_namespace = TRY(files::open("/proc/" + std::to_string(pid) + "/ns/user", O_RDONLY));
    const int error = map_tree_ids(trees[i].get(), user_namespace.get(), plan.root.trees[i].recursive);
    if (error == 0) continue;
    const std::string kind = file_system_name(trees[i].get());
    auto failed = sys_error("mapping the ids of " + plan.root.trees[i].path + " (" + kind + ")", error);
    failed.error().remedy = kind +
                            ", or what is mounted below it, takes no id-mapped mounts: put the directory on ext4, xfs, "
                            "btrfs or tmpfs, or use --runtime gvisor";
    return failed;
  }
  return {};
}

// A directory that should lie on a file, or a file on a directory.
void explain_misfit(const Plan& plan, const RootOperation& op, Error& error) {
  const bool tree = op.kind == RootOperation::Kind::attach_tree;
  if (!tree && op.kind != RootOperation::Kind::bind_inside && op.kind != RootOperation::Kind::file_system) return;
  const std::string& what = tree ? plan.root.trees[op.tree].path : op.text;
  if (error.sys == EISDIR) error.message += ": " + what + " is a file, and " + op.path + " inside is a directory";
  else error.message += ": " + what + " is to lie at " + op.path + ", and that, or a part of its path, is a file inside";
  error.remedy =
      "a place inside where nothing is, or one of the same kind; for one file in a directory name the file: DIR/FILE";
}

Error setup_error(const Plan& plan, const SetupReport& report) {
  std::string attempted = "setting up the sandbox";
  if (report.operation >= 0 && static_cast<size_t>(report.operation) < plan.root.operations.size())
    attempted += ": " + plan.root.operations[static_cast<size_t>(report.operation)].path;
  if (report.landlock_rule >= 0 && static_cast<size_t>(report.landlock_rule) < plan.landlock.rules.size())
    attempted += ": Landlock rule for " + plan.landlock.rules[static_cast<size_t>(report.landlock_rule)].path;
  Error error = sys_error(attempted, report.error).error();
  error.step = to_text(report.step);
  if (report.step == ChildStep::namespaces) error.remedy = kNamespacesRemedy;
  if (report.step == ChildStep::mounts && report.error == ELOOP)
    error.remedy = "the root directory has a symbolic link there: put a directory in its place";
  if (report.step == ChildStep::mounts && report.error == EROFS)
    error.remedy = "the volume above it is read-only and has nothing there: make the mount point on the host, or leave :ro out";
  if (report.step == ChildStep::mounts && (report.error == ENOTDIR || report.error == EISDIR) && report.operation >= 0)
    explain_misfit(plan, plan.root.operations[static_cast<size_t>(report.operation)], error);
  return error;
}

// For root; an ordinary user's are cloned by the child.
Result<std::vector<Fd>> clone_trees(const BeginInputs& in) {
  std::vector<Fd> trees;
  if (!in.plan->privileged) return trees;
  for (const AdmittedTree& target : in.admitted_trees) {
    const int tree = open_tree_source(target, false);
    if (tree < 0) {
      auto failed = sys_error("mounting " + target.source->path, -tree);
      failed.error().step = "trees";
      if (tree == -EPERM && target.source->cleared != 0) failed.error().remedy = kAccessTimesRemedy;
      return failed;
    }
    trees.emplace_back(tree);
  }
  return trees;
}

// All that the child needs of us: its ids, and the descriptors in the order of Child::take_what_is_handed.
Result<> hand_over(const PendingLaunch& begun, const FinishInputs& in, const std::vector<Fd>& trees) {
  const Plan& plan = *begun.inputs().plan;
  if (plan.privileged && !plan.complete) TRY(give_streams(in.stdio, begun.inputs()));
  const Fd image = TRY(create_init_image());
  std::vector<int> handed{image.get()};
  if (!plan.terminal)
    for (const Fd* stream : {&in.stdio.in, &in.stdio.out, &in.stdio.err}) handed.push_back(stream->get());
  if (begun.inputs().has_secrets) handed.push_back(in.secrets);
  for (const Fd& tree : trees) handed.push_back(tree.get());
  if (plan.independent)
    for (const Fd* end : {&in.channel->to_init, &in.channel->from_init}) handed.push_back(end->get());
  if (in.cgroup)
    for (const Fd& fd : in.cgroup->join_fds()) handed.push_back(fd.get());

  if (auto mapped = prepare_child(begun); !mapped)
    return std::unexpected(std::move(mapped).error().with("mapping user ids").in_step("id_maps"));
  if (auto mapped = map_trees(begun.pid(), plan, trees); !mapped)
    return std::unexpected(std::move(mapped).error().in_step("id_maps"));
  if (const int error = send_fds(begun.socket(), handed.data(), handed.size()))
    return sys_error("releasing the sandbox's first process", error);
  return {};
}

// Waits for one message, and leaves it there with MSG_PEEK. 0 bytes: the child is gone.
Result<ssize_t> receive(int socket, void* buffer, size_t size, int flags, dispatcher::Patience& patience) {
  for (;;) {
    pollfd message{socket, POLLIN, 0};
    TRY(patience.until_ready({&message, 1}));
    const ssize_t got = ::recv(socket, buffer, size, flags);
    if (got >= 0) return got;
    if (errno == ECONNRESET) return 0;
    if (errno != EINTR) return sys_error("waiting for the sandbox's set-up", errno);
  }
}

}  // namespace

Result<Fd> await_setup(const Launched& launched, const Plan& plan, dispatcher::Patience& patience, dispatcher::Steps& steps) {
  const int64_t began = clock::monotonic_ns();
  const int socket = launched.socket.get();
  Fd terminal;
  SetupReport report;
  if (plan.terminal) {
    // A child that fails before the pty sends its report instead, which receive_fd takes for a message without descriptor.
    const ssize_t got = TRY(receive(socket, &report, sizeof report, MSG_PEEK, patience));
    if (got == 1) terminal = TRY(receive_fd(socket));
  }
  const ssize_t got = TRY(receive(socket, &report, sizeof report, 0, patience));
  if (got == 0)
    return fail(Fault::failed, "setting up the sandbox: the new process was killed",
                "see the kernel log; was it the OOM killer?");
  if (got != sizeof report || report.magic != SetupReport::kMagic)
    return fail(Fault::failed, "setting up the sandbox: the new process sent no report");
  if (report.error != 0) return std::unexpected(setup_error(plan, report));
  int64_t from = began;
  for (size_t i = 0; i < static_cast<size_t>(ChildStep::count); ++i) {
    const int64_t until = std::max(report.end_ns[i], from);
    steps.push_back({to_text(static_cast<ChildStep>(i)), until - from});
    from = until;
  }
  return terminal;
}

Result<PendingLaunch> PendingLaunch::begin(BeginInputs inputs, dispatcher::Steps& steps) {
  const int64_t start = clock::monotonic_ns();
  const Plan& plan = *inputs.plan;
  SocketPair sockets = TRY(create_socket_pair());
  std::vector<int> trees(plan.root.trees.size(), -1), handed(plan.root.trees.size() + kMostOtherHanded);
  ChildInputs child;
  child.plan = &plan;
  sock_fprog filter{};
  if (plan.seccomp.filters_init) filter = plan.seccomp.base_program(), child.filter = &filter;
  child.admitted_trees = inputs.admitted_trees;
  child.trees = trees;
  child.handed = handed;
  child.has_secrets = inputs.has_secrets;
  child.joins = inputs.joins;
  child.socket = sockets.theirs.get();
  child.parent_socket = sockets.ours.get();

  int pidfd = -1;
  clone_args args{};
  args.flags = (plan.clone_flags & kCloneAtOnce) | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (inputs.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(inputs.cgroup);
  }
  // The child's /proc files belong to root unless it is dumpable, and only root may then write its id maps.
  if (!plan.privileged) ::prctl(PR_SET_DUMPABLE, 1);
  long pid = -1;
  int clone_error = 0;
  const auto clone = [&]() -> Result<> {
    NamespaceOwner owner;
    if (plan.privileged && !plan.complete) TRY(owner.become(inputs.ids->host_uid(0)));
    pid = ::syscall(SYS_clone3, &args, sizeof args);
    clone_error = errno;
    if (pid == 0) run_child(child);
    return {};
  };
  // The child starts in a prepared network, which is the initial user namespace's: nothing in the sandbox has a say over it.
  if (plan.joins_network) TRY(inputs.netns->run(clone));
  else if (plan.complete) TRY(in_namespaces(plan, inputs.joins, clone));
  else TRY(clone());
  if (!plan.privileged) ::prctl(PR_SET_DUMPABLE, 0);  // ours alone: the child has its own copy, until it is hardened
  if (pid < 0) {
    auto failed = sys_error("creating the sandbox's namespaces", clone_error);
    failed.error().step = "clone";
    failed.error().remedy = kNamespacesRemedy;
    return failed;
  }
  PendingLaunch begun;
  begun.inputs_ = std::move(inputs);
  begun.pid_ = static_cast<int>(pid);
  begun.pidfd_ = Fd(pidfd);
  begun.socket_ = std::move(sockets.ours);
  const bool makes_children_later = plan.joins_network;  // those of the network
  if (!makes_children_later && should_step_aside()) step_aside(begun.pid_);
  steps.push_back({"clone", clock::monotonic_ns() - start});
  return begun;
}

Result<Launched> finish(PendingLaunch begun, FinishInputs in, dispatcher::Steps& steps) {
  const int64_t start = clock::monotonic_ns();
  auto trees = TRY(clone_trees(begun.inputs()));
  steps.push_back({"trees", clock::monotonic_ns() - start});
  if (auto handed = hand_over(begun, in, trees); !handed) {
    // A child that failed before it was handed anything has said why, which is the better message.
    SetupReport report;
    const ssize_t got = ::recv(begun.socket(), &report, sizeof report, MSG_DONTWAIT);
    if (got == sizeof report && report.magic == SetupReport::kMagic && report.error != 0)
      return std::unexpected(setup_error(*begun.inputs().plan, report));
    return std::unexpected(std::move(handed).error());
  }
  return begun.release();
}

}  // namespace bailey::native
