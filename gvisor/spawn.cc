#include "gvisor/spawn.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/files.h"
#include "base/id_maps.h"
#include "base/pidfd.h"

namespace bailey::gvisor {

namespace {

constexpr size_t kErrorCap = 16 * 1024;

// Debian 12's headers cannot give clone_args and glibc's <sched.h> together.
struct CloneArgs {
  uint64_t flags = 0, pidfd = 0, child_tid = 0, parent_tid = 0, exit_signal = 0;
  uint64_t stack = 0, stack_size = 0, tls = 0, set_tid = 0, set_tid_size = 0, cgroup = 0;
};

// What run_child reads. The vectors own what the inputs point into.
class Prepared {
 public:
  Prepared(const LaunchInputs& in, const ChildEnds& ends, const PrivateRoot& root, int parents_status) {
    for (const Attachment& a : root.attachments) attachments_.push_back({a.tree.get(), a.target.c_str()});
    if (in.cgroup)
      for (const Fd& fd : in.cgroup->join_fds()) join_.push_back(fd.get());
    for (const std::string& argument : in.plan->arguments) arguments_.push_back(argument.c_str());
    arguments_.push_back(nullptr);
    if (in.plan->oom_score_adj) oom_score_ = std::to_string(*in.plan->oom_score_adj);

    child_.join = join_;
    child_.root_mount = root.mount.get();
    child_.attachments = attachments_;
    child_.overlay = in.plan->root == RootKind::overlay;
    child_.hide_network_settings = in.plan->joins_network;
    child_.terminal = in.plan->terminal;
    if (!oom_score_.empty()) child_.oom_score_adj = oom_score_.c_str();
    child_.stdio[0] = ends.in.get();
    child_.stdio[1] = ends.out.get();
    child_.stdio[2] = ends.err.get();
    child_.job = ends.job.get();
    child_.report = ends.report.get();
    child_.status = ends.status.get();
    child_.parents_status = parents_status;
    child_.spare = ends.spare.get();
    child_.independent = in.plan->independent;
    child_.arguments = arguments_.data();
  }
  Prepared(const Prepared&) = delete;
  const ChildInputs& child() const { return child_; }

 private:
  std::vector<ChildAttachment> attachments_;
  std::vector<int> join_;
  std::vector<const char*> arguments_;
  std::string oom_score_;
  ChildInputs child_;
};

// Clones and returns the pidfd in the parent; the child never returns. CLONE_PARENT in `flags`: it is our parent's child.
Result<Fd> clone_child(const ChildInputs& child, const host::Cgroup* cgroup, uint64_t flags) {
  int pidfd = -1;
  CloneArgs args;
  args.flags = flags | CLONE_NEWNS | CLONE_NEWPID | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = (flags & CLONE_PARENT) ? 0 : SIGCHLD;  // with CLONE_PARENT it is our own, and has to be 0 here
  size_t size = offsetof(CloneArgs, cgroup);
  if (cgroup && cgroup->clone_into_fd() >= 0) {
    constexpr uint64_t kCloneIntoCgroup = UINT64_C(0x200000000);
    args.flags |= kCloneIntoCgroup;
    args.cgroup = static_cast<uint64_t>(cgroup->clone_into_fd());
    size = sizeof args;
  }
  const long pid = ::syscall(SYS_clone3, &args, size);
  if (pid == 0) run_child(child);
  if (pid < 0) return sys_error("creating the process for runsc (clone3)", errno);
  return Fd(pidfd);
}

Result<Spawned> spawn_from_here(const LaunchInputs& in, const ChildEnds& ends, int parents_status, OpenedIn opened_in,
                                uint64_t flags) {
  Spawned out;
  secrets::Stage stage;
  if (in.stage_secrets) stage = TRY(in.stage_secrets());
  Sources sources = in.sources;
  sources.secrets = stage.mount_fd();
  out.root = TRY(create_private_root(*in.plan, *in.binary, sources, opened_in));
  const Prepared prepared(in, ends, out.root, parents_status);
  out.pidfd = TRY(clone_child(prepared.child(), in.cgroup, flags));
  return out;
}

// One that is there, with its maps (network/userspace/userspace_network.h).
Result<> join_user_namespace(int fd) {
  if (::setns(fd, CLONE_NEWUSER) < 0) return sys_error("entering the user namespace of the network", errno);
  if (::unshare(CLONE_NEWNS) < 0) return sys_error("creating a mount namespace", errno);
  return {};
}

// The builder's namespaces: its caller is 0 there and nobody else exists. This process is a copy of one that cannot be dumped,
// whose /proc files belong to root; it may write its own maps only while it can be.
Result<> enter_user_namespace() {
  const SingleId user{0, ::geteuid()}, group{0, ::getegid()};
  if (::prctl(PR_SET_DUMPABLE, 1) < 0) return sys_error("prctl", errno);
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
    auto failed = sys_error("creating a user namespace", errno);
    failed.error().fault = Fault::unavailable;
    failed.error().remedy =
        "allow them (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns), or run as root";
    return failed;
  }
  TRY(write_single_id_maps(0, user, group));
  if (::prctl(PR_SET_DUMPABLE, 0) < 0) return sys_error("prctl", errno);
  return {};
}

// fault, errno, message NUL remedy: the two ends are one program.
void send_error(int pipe, const Error& error) {
  std::string text;
  text += static_cast<char>(error.fault);
  text.append(reinterpret_cast<const char*>(&error.sys), sizeof error.sys);
  text.append(error.message).append(1, '\0').append(error.remedy);
  (void)files::write_fd(pipe, std::string_view(text).substr(0, kErrorCap), "error");
}

Error read_error(int pipe) {
  Error error;
  error.message = "preparing to run runsc: the builder was killed";
  const auto text = files::read_fd(pipe, kErrorCap, "error");
  if (!text || text->size() < 1 + sizeof error.sys) return error;
  error.fault = static_cast<Fault>((*text)[0]);
  std::memcpy(&error.sys, text->data() + 1, sizeof error.sys);
  const std::string_view words = std::string_view(*text).substr(1 + sizeof error.sys);
  error.message = words.substr(0, words.find('\0'));
  if (const size_t end = words.find('\0'); end != words.npos) error.remedy = words.substr(end + 1);
  return error;
}

Result<Spawned> build_and_hand_over(const LaunchInputs& in, const ChildEnds& ends, int parents_status, int socket) {
  if (in.user_namespace >= 0) TRY(join_user_namespace(in.user_namespace));
  else TRY(enter_user_namespace());
  Spawned made = TRY(spawn_from_here(in, ends, parents_status, OpenedIn::the_parents, CLONE_PARENT));
  for (const Fd* fd : {&made.pidfd, &made.root.mount, &made.root.log, &made.root.console}) {
    const int number = fd->get();
    if (number < 0) continue;
    if (const int err = send_fds(socket, &number, 1)) {
      kill_and_await_end(made.pidfd.get());  // the child of our parent, which may not know it
      return sys_error("handing over the sandbox", err);
    }
  }
  return made;
}

// What build_and_hand_over sent, in its order. An error ends the process that may have been handed over.
Result<Spawned> take_over(int socket, bool terminal) {
  Spawned out;
  out.pidfd = TRY(receive_fd(socket));
  const auto rest = [&]() -> Result<> {
    out.root.mount = TRY(receive_fd(socket));
    out.root.log = TRY(receive_fd(socket));
    if (terminal) out.root.console = TRY(receive_fd(socket));
    return {};
  }();
  if (rest) return out;
  end_child(out.pidfd.get());
  return std::unexpected(rest.error());
}

Result<Spawned> spawn_in_user_namespace(const LaunchInputs& in, const ChildEnds& ends, int parents_status) {
  SocketPair sockets = TRY(create_socket_pair());
  Pipe errors = TRY(create_pipe());
  const pid_t builder = ::fork();
  if (builder < 0) return sys_error("fork", errno);
  if (builder == 0) {
    sockets.ours.reset();
    errors.read.reset();
    const auto made = build_and_hand_over(in, ends, parents_status, sockets.theirs.get());
    if (!made) send_error(errors.write.get(), made.error());
    ::_exit(made ? 0 : 1);
  }
  sockets.theirs.reset();
  errors.write.reset();
  int status = 0;
  while (::waitpid(builder, &status, 0) < 0 && errno == EINTR) {}
  auto taken = take_over(sockets.ours.get(), in.plan->terminal);  // nothing blocks: the other end is closed
  if (status == 0) return taken;
  if (taken) end_child(taken->pidfd.get());
  return std::unexpected(read_error(errors.read.get()));
}

}  // namespace

Result<Spawned> spawn(const LaunchInputs& inputs, const ChildEnds& ends, int parents_status) {
  if (::geteuid() == 0) return spawn_from_here(inputs, ends, parents_status, OpenedIn::this_mount_namespace, 0);
  return spawn_in_user_namespace(inputs, ends, parents_status);
}

}  // namespace bailey::gvisor
