#include "native/enter.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/files.h"
#include "base/pidfd.h"
#include "init/conversation.h"
#include "init/encode.h"
#include "native/hardening.h"
#include "native/init_image.h"
#include "native/root/kernel_abi.h"
#include "native/root/places.h"
#include "native/root/pty.h"

namespace bailey::native {

namespace {

constexpr int kInitFd = 3;

enum class EnterStep : uint32_t { namespaces, clone, cgroup, identity, terminal, exec };
struct Message {
  int32_t error = 0;
  EnterStep step = EnterStep::namespaces;
  int32_t pid = 0;  // of the new process, without an error
};

const char* attempt_of(EnterStep step) {
  switch (step) {
    case EnterStep::namespaces: return "joining the container's namespaces";
    case EnterStep::clone: return "making a process in the container";
    case EnterStep::cgroup: return "joining the container's cgroups";
    case EnterStep::identity: return "becoming the container's root";
    case EnterStep::terminal: return "opening a terminal in the container";
    case EnterStep::exec: return "starting init in the container";
  }
  return "entering the container";
}

struct ChildPlan {
  int socket = -1, parent_socket = -1, image = -1, pidfd = -1;
  int flags = 0;
  int stdio[3] = {-1, -1, -1};
  std::vector<int> join;  // v1 `tasks` descriptors
  int cgroup = -1;        // v2
  bool terminal = false, new_keyring = true;
  uint32_t terminal_owner = 0;
};

// Between the clones and the exec: nothing allocates, locks or throws.
class Child {
 public:
  explicit Child(const ChildPlan& plan) : plan_(plan) {}

  [[noreturn]] void run() {
    ::close(plan_.parent_socket);
    check(EnterStep::namespaces, ::setns(plan_.pidfd, plan_.flags) < 0 ? errno : 0);
    clone_args args{};
    args.flags = CLONE_PARENT;  // in a pid namespace that was joined only children are
    if (plan_.cgroup >= 0) {
      args.flags |= CLONE_INTO_CGROUP;
      args.cgroup = static_cast<uint64_t>(plan_.cgroup);
    }
    const long pid = ::syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) become();
    check(EnterStep::clone, pid < 0 ? errno : 0);
    send({0, EnterStep::clone, static_cast<int32_t>(pid)});
    ::_exit(0);
  }

 private:
  void send(const Message& message) const { (void)!::send(plan_.socket, &message, sizeof message, MSG_NOSIGNAL); }
  void check(EnterStep step, int error) const {
    if (error == 0) return;
    send({error, step, 0});
    ::_exit(125);
  }

  [[noreturn]] void become() {
    for (const int tasks : plan_.join) check(EnterStep::cgroup, ::write(tasks, "0", 1) != 1 ? errno : 0);
    check(EnterStep::identity, become_root());
    int from[3] = {plan_.stdio[0], plan_.stdio[1], plan_.stdio[2]};
    if (plan_.terminal) {
      Terminal terminal;
      check(EnterStep::terminal, open_terminal(&terminal));
      check(EnterStep::terminal, send_fds(plan_.socket, &terminal.master, 1));
      from[0] = from[1] = from[2] = terminal.slave;
    }
    for (int i = 0; i < 3; ++i) check(EnterStep::terminal, ::dup2(from[i], i) < 0 ? errno : 0);
    exec_init();
  }

  int become_root() const {
    if (::setsid() < 0) return errno;
    if (plan_.flags & CLONE_NEWUSER) {
      if (::syscall(SYS_setresgid, 0, 0, 0) < 0 || ::syscall(SYS_setresuid, 0, 0, 0) < 0) return errno;
    }
    if (::syscall(SYS_setgroups, 0, nullptr) < 0 && errno != EPERM) return errno;
    ::umask(0);
    return plan_.new_keyring ? join_fresh_keyring() : 0;
  }

  int open_terminal(Terminal* terminal) const {
    const Held pts(::open("/dev/pts", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return pts.failed() ? errno : make_terminal(pts.get(), plan_.terminal_owner, {}, terminal);
  }

  [[noreturn]] void exec_init() const {
    const int image = ::fcntl(plan_.image, F_DUPFD_CLOEXEC, kInitFd + 1),
              in = ::fcntl(plan_.socket, F_DUPFD_CLOEXEC, kInitFd + 1);
    check(EnterStep::exec, image < 0 || in < 0 || ::dup2(in, kInitFd) < 0 ? errno : 0);
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    sigset_t all;
    ::sigfillset(&all);
    if (::sigaction(SIGPIPE, &standard, nullptr) < 0 || ::sigprocmask(SIG_SETMASK, &all, nullptr) < 0 ||
        ::syscall(SYS_close_range, kInitFd + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
      check(EnterStep::exec, errno);
    start_undumpable();
    char name[] = "init", descriptor[] = {'0' + kInitFd, '\0'}, joined[] = "joined";
    char* const argv[] = {name, descriptor, joined, nullptr};
    char* const no_environment[] = {nullptr};
    ::syscall(SYS_execveat, image, "", argv, no_environment, AT_EMPTY_PATH);
    check(EnterStep::exec, errno);
    ::_exit(125);
  }

  const ChildPlan& plan_;
};

// All namespaces of the container; our own user namespace cannot be joined again (setns(2)).
Result<int> flags_of(int pid) {
  int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  const auto link = [](const std::string& process, const char* name) {
    return files::readlink("/proc/" + process + "/ns/" + name);
  };
  const std::string its = TRY(link(std::to_string(pid), "user")), ours = TRY(link("self", "user"));
  if (its != ours) flags |= CLONE_NEWUSER;
  if (auto time = link(std::to_string(pid), "time"); time && *time != link("self", "time").value_or("")) flags |= CLONE_NEWTIME;
  return flags;
}

// Ends a child that this process may still have.
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

Result<Message> receive(int socket, dispatcher::Patience& patience) {
  pollfd message{socket, POLLIN, 0};
  TRY(patience.until_ready({&message, 1}));
  Message got;
  const ssize_t size = ::recv(socket, &got, sizeof got, 0);
  if (size < 0) return sys_error("waiting for the container's new process", errno);
  if (size != sizeof got)
    return fail(Fault::failed, "the container's new process was killed", "see the kernel log; was it the OOM killer?");
  if (got.error != 0) return sys_error(attempt_of(got.step), got.error);
  return got;
}

}  // namespace

Result<dispatcher::Entered> enter(EnterInputs in, dispatcher::Patience& patience) {
  ChildPlan plan;
  plan.pidfd = in.pidfd;
  plan.flags = TRY(flags_of(pid_of(in.pidfd)));
  SocketPair sockets = TRY(create_socket_pair());
  const Fd image = TRY(create_init_image());
  plan.socket = sockets.theirs.get();
  plan.parent_socket = sockets.ours.get();
  plan.image = image.get();
  plan.terminal = in.terminal;
  plan.terminal_owner = in.terminal_owner;
  plan.new_keyring = in.new_keyring;
  const Fd* streams[] = {&in.stdio.in, &in.stdio.out, &in.stdio.err};
  for (int i = 0; i < 3; ++i) plan.stdio[i] = streams[i]->get();
  std::vector<Fd> cgroups;
  for (const std::string& path : in.cgroups) {
    auto tasks = files::open(path + "/tasks", O_WRONLY);
    const bool v2 = !tasks && tasks.error().sys == ENOENT;
    if (v2) tasks = files::open(path, O_PATH | O_DIRECTORY);
    cgroups.push_back(TRY_WITH(std::move(tasks), attempt_of(EnterStep::cgroup)));
    if (v2) plan.cgroup = cgroups.back().get();
    else plan.join.push_back(cgroups.back().get());
  }
  int first_pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uint64_t>(&first_pidfd);
  args.exit_signal = SIGCHLD;
  const long first = ::syscall(SYS_clone3, &args, sizeof args);
  if (first == 0) Child(plan).run();
  if (first < 0) return sys_error(attempt_of(EnterStep::clone), errno);
  sockets.theirs.reset();
  const Pending going(Fd(static_cast<int>(first_pidfd)));
  const Message told = TRY(receive(sockets.ours.get(), patience));
  Pending entered(Fd(static_cast<int>(::syscall(SYS_pidfd_open, told.pid, 0))));
  dispatcher::Entered out;
  out.pid = told.pid;
  if (in.terminal) out.terminal = TRY(receive_fd(sockets.ours.get()));
  init::Conversation talk;
  talk.open(sockets.ours.get(), sockets.ours.get());
  talk.send(in.job);
  std::optional<init::Report> last;
  while (const auto heard = TRY(talk.await_report(patience, entered.get())))
    if (heard->report.kind != init::ReportKind::ready) last = heard->report;
  if (!last) return fail(Fault::failed, "the container's new process ended before its command began");
  if (last->kind == init::ReportKind::failed) return std::unexpected(init::start_error(*last, in.process));
  out.pidfd = entered.release();
  return out;
}

}  // namespace bailey::native
