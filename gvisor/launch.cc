#include "gvisor/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "gvisor/child.h"

namespace bailey::gvisor {

namespace {

constexpr int64_t kConsoleMs = 30'000;

// Debian 12's headers cannot give clone_args and glibc's <sched.h> together.
struct CloneArgs {
  uint64_t flags = 0, pidfd = 0, child_tid = 0, parent_tid = 0, exit_signal = 0;
  uint64_t stack = 0, stack_size = 0, tls = 0, set_tid = 0, set_tid_size = 0, cgroup = 0;
};

// One clone that is not finished: killed and reaped unless released.
class Pending {
 public:
  explicit Pending(Fd pidfd) : pidfd_(std::move(pidfd)) {}
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() {
    if (!pidfd_) return;
    send_signal(pidfd_.get(), SIGKILL);
    (void)wait_for(pidfd_.get());
  }
  int get() const { return pidfd_.get(); }
  Fd release() { return std::move(pidfd_); }

 private:
  Fd pidfd_;
};

std::vector<const char*> c_strings(const std::vector<std::string>& strings) {
  std::vector<const char*> out;
  for (const std::string& s : strings) out.push_back(s.c_str());
  out.push_back(nullptr);
  return out;
}

// Moves a descriptor above those that the child puts in place.
Result<Fd> raise(const Fd& fd) {
  Fd high(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kLastTarget + 1));
  if (!high) return sys_error("duplicating a descriptor", errno);
  return high;
}

Result<> raise_in_place(Fd& fd) {
  if (fd) fd = TRY(raise(fd));
  return {};
}

// With a terminal runsc's own three are not the workload's: nothing to read, and what it prints goes to a file beside its log.
Result<> fill_stdio(dispatcher::Stdio& stdio, const PrivateRoot& root) {
  if (!stdio.in) stdio.in = TRY(create_pipe()).read;
  if (stdio.out && stdio.err) return {};
  Fd file(::openat(root.mount.get(), "stderr", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!file) return sys_error("creating a file for runsc's stderr", errno);
  if (!stdio.out) stdio.out = TRY(file.duplicate());
  if (!stdio.err) stdio.err = std::move(file);
  return {};
}

Error child_error(const Failure& failure, const PrivateRoot& root) {
  std::string attempted = "preparing to run runsc: " + std::string(to_text(failure.step));
  if (failure.attachment >= 0 && static_cast<size_t>(failure.attachment) < root.attachments.size())
    attempted += ": " + root.attachments[static_cast<size_t>(failure.attachment)].target;
  Error error = sys_error(attempted, failure.error).error();
  error.step = to_text(failure.step);
  return error;
}

// The pty's master, which runsc sends when the sandbox exists. Error when runsc ends before.
Result<Fd> receive_console(int listening, int pidfd, const PrivateRoot& root) {
  const clock::Deadline deadline = clock::Deadline::in_ms(kConsoleMs);
  for (;;) {
    pollfd fds[2] = {{listening, POLLIN, 0}, {pidfd, POLLIN, 0}};
    const int ready = ::poll(fds, 2, deadline.poll_ms());
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return sys_error("waiting for runsc's terminal", errno);
    if (ready == 0) return fail(Fault::failed, "runsc has not made a terminal within 30 seconds");
    if (fds[0].revents & POLLIN) break;
    const std::string errors = read_last_words(root);
    return fail(Fault::failed, "runsc ended before it made a terminal" + (errors.empty() ? "" : ": " + errors));
  }
  const Fd connection(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return sys_error("accepting runsc's terminal", errno);
  return receive_fd(connection.get());
}

// Everything that the child needs, in descriptors above kLastTarget.
struct Prepared {
  std::vector<ChildAttachment> attachments;
  std::vector<int> join;
  std::vector<const char*> arguments;
  std::string oom_score;
  Pipe job, report, status, hold;
  Fd spare;
};

Result<Prepared> prepare(const LaunchInputs& in, PrivateRoot& root) {
  Prepared out;
  for (const Attachment& a : root.attachments) out.attachments.push_back({a.tree.get(), a.target.c_str()});
  if (in.cgroup)
    for (const Fd& fd : in.cgroup->join_fds()) out.join.push_back(fd.get());
  out.arguments = c_strings(in.plan->arguments);
  if (in.plan->oom_score_adj) out.oom_score = std::to_string(*in.plan->oom_score_adj);
  if (in.plan->channel_directory) {
    out.hold = TRY(create_pipe());
    TRY(raise_in_place(out.hold.read));
  } else {
    out.job = TRY(create_pipe());
    out.report = TRY(create_pipe());
    TRY(raise_in_place(out.job.read));
    TRY(raise_in_place(out.report.write));
  }
  out.status = TRY(create_pipe());
  TRY(raise_in_place(out.status.write));
  TRY(raise_in_place(root.mount));
  if (in.plan->spare_fd) {
    out.spare = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (out.spare) TRY(raise_in_place(out.spare));
  }
  return out;
}

ChildInputs child_inputs(const LaunchInputs& in, const PrivateRoot& root, const Prepared& prepared) {
  ChildInputs child;
  child.join = prepared.join;
  child.root_mount = root.mount.get();
  child.attachments = prepared.attachments;
  child.overlay = in.plan->root == RootKind::overlay;
  child.terminal = in.plan->terminal;
  if (!prepared.oom_score.empty()) child.oom_score_adj = prepared.oom_score.c_str();
  child.stdio[0] = in.stdio.in.get();
  child.stdio[1] = in.stdio.out.get();
  child.stdio[2] = in.stdio.err.get();
  child.job = prepared.job.read.get();
  child.report = prepared.report.write.get();
  child.status = prepared.status.write.get();
  child.hold = prepared.hold.read.get();
  child.spare = prepared.spare.get();
  child.arguments = prepared.arguments.data();
  return child;
}

// Clones and returns the pidfd in the parent; the child never returns.
Result<Fd> clone_child(const ChildInputs& child, const host::Cgroup* cgroup) {
  int pidfd = -1;
  CloneArgs args;
  args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
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

// End of file: runsc was executed.
Result<> await_exec(int status, const PrivateRoot& root) {
  Failure failure;
  ssize_t got = -1;
  do {
    got = ::read(status, &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return sys_error("waiting for runsc to be executed", errno);
  if (got == sizeof failure) return std::unexpected(child_error(failure, root));
  return {};
}

}  // namespace

void send_signal(int pidfd, int number) { ::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0); }

Result<ExitStatus> wait_for(int pidfd) {
  siginfo_t info{};
  int result = -1;
  do {
    result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return sys_error("waiting for runsc", errno);
  return ExitStatus{info.si_code != CLD_EXITED, info.si_status};
}

Result<> release(Launched& launched) {
  if (launched.go && ::write(launched.go.get(), "g", 1) != 1 && errno != EPIPE) return sys_error("starting runsc", errno);
  launched.go.reset();
  if (!launched.status) return {};
  TRY(await_exec(launched.status.get(), launched.root));
  launched.status.reset();
  launched.root.attachments.clear();
  return {};
}

Result<Launched> launch(LaunchInputs in, dispatcher::Steps& steps) {
  const int64_t begin = clock::monotonic_ns();
  Launched out;
  out.root = TRY(create_private_root(*in.plan, *in.binary, in.sources));
  const int64_t built = clock::monotonic_ns();
  steps.push_back({"private_root", built - begin});

  TRY(fill_stdio(in.stdio, out.root));
  for (Fd* fd : {&in.stdio.in, &in.stdio.out, &in.stdio.err}) TRY(raise_in_place(*fd));
  Prepared prepared = TRY(prepare(in, out.root));
  Pending pending(TRY(clone_child(child_inputs(in, out.root, prepared), in.cgroup)));
  // Our copies of the child's ends: a pipe whose other side is gone must say so.
  in.stdio = {};
  prepared.status.write.reset();
  prepared.job.read.reset();
  prepared.report.write.reset();
  prepared.hold.read.reset();
  out.job = std::move(prepared.job.write);
  out.report = std::move(prepared.report.read);
  out.go = std::move(prepared.hold.write);
  out.status = std::move(prepared.status.read);
  // A held child with a terminal cannot wait: the terminal is made by runsc, and create() has to answer it.
  if (!out.go || in.plan->terminal) TRY(release(out));
  if (in.plan->terminal)
    out.terminal = TRY(receive_console(out.root.console.get(), pending.get(), out.root));
  out.pidfd = pending.release();
  steps.push_back({"launch", clock::monotonic_ns() - built});
  return out;
}

}  // namespace bailey::gvisor
