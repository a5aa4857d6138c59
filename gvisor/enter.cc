// A further process in an engine's container, by `runsc exec` in the container's private root. runsc's own process is the one
// that the host sees: it lives as long as what it has started, and ends with its code.
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "base/json.h"
#include "base/pidfd.h"
#include "bundle/writer.h"
#include "gvisor/arguments.h"
#include "gvisor/launch.h"
#include "gvisor/plan.h"
#include "init/conversation.h"
#include "init/encode.h"

namespace bailey::gvisor {

namespace {

constexpr int kProcessFd = 5;  // the document of --process
constexpr int kLastFd = kProcessFd;

struct ChildPlan {
  int pidfd = -1, socket = -1, parent_socket = -1;
  int fds[kLastFd + 1] = {};  // by the number that they get
  std::vector<int> join;      // v1 `tasks` descriptors
  const char* const* arguments = nullptr;
};

[[noreturn]] void become_runsc(const ChildPlan& plan) {
  for (const int tasks : plan.join)
    if (::write(tasks, "0", 1) != 1) ::_exit(125);
  if (::setsid() < 0) ::_exit(125);
  int raised[kLastFd + 1];
  for (int i = 0; i <= kLastFd; ++i)
    if ((raised[i] = ::fcntl(plan.fds[i], F_DUPFD_CLOEXEC, kLastFd + 1)) < 0) ::_exit(125);
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0) ::_exit(125);
  for (int i = 0; i <= kLastFd; ++i)
    if (::dup2(raised[i], i) < 0) ::_exit(125);
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &standard, nullptr);
  ::sigaction(SIGXFSZ, &standard, nullptr);
  static const char* const kNoEnvironment[] = {nullptr};
  ::execve("/runsc/runsc", const_cast<char* const*>(plan.arguments), const_cast<char* const*>(kNoEnvironment));
  ::_exit(125);
}

// Tells the number of the new process, or 0.
[[noreturn]] void enter_and_clone(const ChildPlan& plan) {
  ::close(plan.parent_socket);
  int32_t told = 0;
  if (::setns(plan.pidfd, CLONE_NEWNS | CLONE_NEWPID) == 0) {
    const long pid = ::syscall(SYS_clone, CLONE_PARENT, nullptr, nullptr, nullptr, 0);
    if (pid == 0) become_runsc(plan);
    told = static_cast<int32_t>(pid);
  }
  (void)!::send(plan.socket, &told, sizeof told, MSG_NOSIGNAL);
  ::_exit(0);
}

// Of init inside.
std::string process_document(bundle::Process init) {
  init.args.emplace_back("joined");
  bundle::Config holder;
  holder.process = std::move(init);
  const json::Value config = bundle::encode_config(holder);
  return json::write(*config.as<json::Object>()->find("process"));
}

Result<Fd> memory_file(const std::string& text) {
  Fd file(::memfd_create("process.json", MFD_CLOEXEC));
  if (!file) return sys_error("creating a memfd", errno);
  TRY(files::write_fd(file.get(), text, "process.json"));
  if (::lseek(file.get(), 0, SEEK_SET) < 0) return sys_error("lseek", errno);
  return file;
}

}  // namespace

Result<dispatcher::Entered> enter(int pidfd, const std::string& runsc_id, const bundle::Process& process,
                                  dispatcher::EntryOptions options, dispatcher::Patience& patience) {
  if (process.terminal) return fail(Fault::unavailable, "a terminal of a further process in a gVisor container");
  const EngineInit how = TRY(engine_init(process, options.seccomp));
  std::string job = TRY(encode_job(how, process));
  init::hold(job);
  const std::vector<std::string> arguments = exec_arguments(runsc_id, "/proc/self/fd/" + std::to_string(kProcessFd));
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  const Fd document = TRY(memory_file(process_document(how.process)));
  Pipe to_init = TRY(create_pipe()), from_init = TRY(create_pipe());
  SocketPair sockets = TRY(create_socket_pair());
  ChildPlan plan;
  plan.pidfd = pidfd;
  plan.socket = sockets.theirs.get();
  plan.parent_socket = sockets.ours.get();
  plan.arguments = argv.data();
  const int fds[] = {options.stdio.in.get(), options.stdio.out.get(), options.stdio.err.get(),
                     to_init.read.get(),     from_init.write.get(),   document.get()};
  for (int i = 0; i <= kLastFd; ++i) plan.fds[i] = fds[i];
  std::vector<Fd> cgroups;
  for (const std::string& path : options.cgroups) {
    cgroups.push_back(TRY(files::open(path + "/tasks", O_WRONLY)));
    plan.join.push_back(cgroups.back().get());
  }
  const pid_t first = ::fork();
  if (first < 0) return sys_error("fork", errno);
  if (first == 0) enter_and_clone(plan);
  sockets.theirs.reset();
  to_init.read.reset();
  from_init.write.reset();
  pollfd message{sockets.ours.get(), POLLIN, 0};
  auto ready = patience.until_ready({&message, 1});
  int32_t pid = 0;
  if (ready && ::recv(sockets.ours.get(), &pid, sizeof pid, 0) != sizeof pid) pid = 0;
  int status = 0;
  ::kill(first, ready ? 0 : SIGKILL);
  while (::waitpid(first, &status, 0) < 0 && errno == EINTR) {}
  if (!ready) return std::unexpected(ready.error());
  if (pid <= 0) return fail(Fault::failed, "entering the container's private root failed");
  dispatcher::Entered out;
  out.pid = pid;
  out.pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  init::Conversation talk;
  talk.open(to_init.write.get(), from_init.read.get());
  talk.send(job);
  const auto begun = [&]() -> Result<> {
    init::Report told = TRY(init::await_held(talk, out.pidfd.get(), patience));
    if (told.kind != init::ReportKind::failed) {
      talk.send(init::encode_begin());
      told = TRY(init::await_held(talk, out.pidfd.get(), patience));
    }
    if (told.kind == init::ReportKind::failed) return std::unexpected(init::start_error(told, process));
    return {};
  }();
  if (begun) return out;
  end_child(out.pidfd.get());
  return std::unexpected(begun.error());
}

}  // namespace bailey::gvisor
