#include "gvisor/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/pidfd.h"
#include "init/named_channel.h"

namespace bailey::gvisor {

namespace {

// One clone that is not finished: killed and reaped unless released. One that does not end then is left to the kernel.
class Pending {
 public:
  explicit Pending(Fd pidfd) : pidfd_(std::move(pidfd)) {}
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() { end_child(pidfd_.get()); }
  int get() const { return pidfd_.get(); }
  Fd release() { return std::move(pidfd_); }

 private:
  Fd pidfd_;
};

// Moves a descriptor above those that the child puts in place.
Result<Fd> raise(const Fd& fd) {
  Fd high(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kLastTarget + 1));
  if (!high) return sys_error("duplicating a descriptor", errno == EINVAL ? EMFILE : errno);  // fcntl(2): above the limit
  return high;
}

Result<> raise_in_place(Fd& fd) {
  if (fd) fd = TRY(raise(fd));
  return {};
}

// With a terminal runsc's own three are not the workload's: nothing to read, and nobody reads what it prints; its log has it.
Result<> fill_stdio(dispatcher::Stdio& stdio) {
  if (!stdio.in) stdio.in = TRY(create_pipe()).read;
  if (stdio.out && stdio.err) return {};
  Fd file(::memfd_create("runsc-output", MFD_CLOEXEC));
  if (!file) return sys_error("creating a file for runsc's output", errno);
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
  if (failure.step == ChildStep::oom_score)
    error.remedy = "an oomScoreAdj below Bailey's own takes CAP_SYS_RESOURCE: leave it out";
  return error;
}

// Both ends of everything that connects us to the child.
struct Ends {
  ChildEnds child;
  Fd job, report, status;  // ours
};

Result<Ends> connect(LaunchInputs& in) {
  Ends out;
  TRY(fill_stdio(in.stdio));
  out.child.in = TRY(raise(in.stdio.in));
  out.child.out = TRY(raise(in.stdio.out));
  out.child.err = TRY(raise(in.stdio.err));
  in.stdio = {};
  Pipe status = TRY(create_pipe());
  out.status = std::move(status.read);
  out.child.status = TRY(raise(status.write));
  if (in.plan->independent && !in.plan->channel_directory) {
    init::NamedChannel inits = TRY(init::create_named_channel(in.state)), ours = TRY(init::open_named_channel(in.state));
    out.child.job = TRY(raise(inits.to_init));
    out.child.report = TRY(raise(inits.from_init));
    out.job = std::move(ours.to_init);
    out.report = std::move(ours.from_init);
  } else if (!in.plan->channel_directory) {
    Pipe job = TRY(create_pipe()), report = TRY(create_pipe());
    out.child.job = TRY(raise(job.read));
    out.child.report = TRY(raise(report.write));
    out.job = std::move(job.write);
    out.report = std::move(report.read);
  }
  if (in.plan->spare_fd) {
    out.child.spare = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    TRY(raise_in_place(out.child.spare));
  }
  return out;
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

// The status pipe is at its end: runsc was executed.
Result<> await_exec(Launched& launched, dispatcher::Patience& patience) {
  pollfd said{launched.status.get(), POLLIN, 0};
  TRY(patience.until_ready({&said, 1}));
  Failure failure;
  ssize_t got = -1;
  do {
    got = ::read(launched.status.get(), &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return sys_error("waiting for runsc to be executed", errno);
  if (got == sizeof failure) return std::unexpected(child_error(failure, launched.root));
  launched.status.reset();
  launched.root.attachments.clear();
  return {};
}

Result<Fd> receive_console(const Launched& launched, dispatcher::Patience& patience) {
  const int listening = launched.root.console.get();
  pollfd fds[2] = {{listening, POLLIN, 0}, {launched.pidfd.get(), POLLIN, 0}};
  TRY_WITH(patience.until_ready(fds), "waiting for runsc's terminal");
  if ((fds[0].revents & POLLIN) == 0) {
    const std::string errors = read_last_words(launched.root);
    return fail(Fault::failed, "runsc ended before it made a terminal" + (errors.empty() ? "" : ": " + errors));
  }
  const Fd connection(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return sys_error("accepting runsc's terminal", errno);
  return receive_fd(connection.get());
}

Result<Launched> launch(LaunchInputs in, dispatcher::Steps& steps) {
  const int64_t begin = clock::monotonic_ns();
  Ends ends = TRY(connect(in));
  Spawned spawned = TRY(spawn(in, ends.child, ends.status.get()));
  Pending pending(std::move(spawned.pidfd));
  ends.child = {};  // our copies of the child's ends: a pipe whose other side is gone must say so
  const int64_t cloned = clock::monotonic_ns();
  steps.push_back({"private_root and clone", cloned - begin});

  Launched out;
  out.root = std::move(spawned.root);
  out.job = std::move(ends.job);
  out.report = std::move(ends.report);
  out.status = std::move(ends.status);
  out.pidfd = pending.release();
  return out;
}

}  // namespace bailey::gvisor
