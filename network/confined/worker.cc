#include "network/confined/worker.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/child.h"
#include "base/files.h"
#include "seccomp/builtin.h"

namespace bailey::network {

namespace {

constexpr uid_t kNobody = 65534;
constexpr size_t kMessageRoom = 512;
// Its memory is nobody's limit else: it is outside of the sandbox's cgroup. The most that one needs is a tenth of that.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr rlim_t kMostMemory = RLIM_INFINITY;  // their shadow counts
#else
constexpr rlim_t kMostMemory = rlim_t{256} << 20;
#endif

Result<> limit(__rlimit_resource_t resource, rlim_t value) {
  rlimit now{};
  if (::getrlimit(resource, &now) < 0) return sys_error("reading a limit", errno);
  now.rlim_cur = now.rlim_max = std::min(value, now.rlim_max);
  if (::setrlimit(resource, &now) < 0) return sys_error("setting a limit", errno);
  return {};
}

// Numbers of include/uapi/linux/landlock.h of Linux 6.18: Debian 12's header ends with ABI 2, and glibc has no wrappers.
Result<> forbid_files(const std::vector<uint16_t>& connects) {
  struct {
    uint64_t files, network, scoped;
  } handled{};
  struct {
    uint64_t allowed, port;
  } rule{};
  constexpr uint64_t kBindTcp = 1, kConnectTcp = 2;
  constexpr unsigned kVersion = 1, kPort = 2;
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersion);
  if (abi < 1) return {};  // not there, or switched off
  const unsigned rights = abi == 1 ? 13 : abi == 2 ? 14 : abi < 5 ? 15 : 16;
  handled.files = (uint64_t{1} << rights) - 1;
  if (abi >= 4) handled.network = kBindTcp | kConnectTcp;
  if (abi >= 6) handled.scoped = 3;  // abstract sockets, signals
  const Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0)));
  if (!ruleset) return sys_error("creating a Landlock ruleset", errno);
  rule.allowed = kConnectTcp;
  for (const uint16_t port : connects) {
    rule.port = port;
    if (abi >= 4 && ::syscall(SYS_landlock_add_rule, ruleset.get(), kPort, &rule, 0) < 0)
      return sys_error("adding a port to the Landlock ruleset", errno);
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) < 0) return sys_error("applying the Landlock ruleset", errno);
  return {};
}

Result<> drop_identity() {
  if (::geteuid() == 0) {
    if (::setgroups(0, nullptr) < 0) return sys_error("dropping groups", errno);
    if (::setresgid(kNobody, kNobody, kNobody) < 0) return sys_error("becoming group 65534", errno);
    if (::setresuid(kNobody, kNobody, kNobody) < 0) return sys_error("becoming user 65534", errno);
    TRY(limit(RLIMIT_NPROC, 0));
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capset, &header, none) < 0) return sys_error("dropping capabilities", errno);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return sys_error("setting no_new_privs", errno);
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return sys_error("becoming undumpable", errno);
  return {};
}

// Every signal blocked, none handled: what the parent's terminal and callers send is the parent's affair.
void silence_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
}

Result<> confine(const WorkerSpec& spec, int channel, pid_t parent) {
  silence_signals();
  for (char** entry = environ; *entry; ++entry) ::explicit_bzero(*entry, std::strlen(*entry));
  ::prctl(PR_SET_NAME, spec.name);
  std::vector<int> keep = spec.keep;
  keep.push_back(channel);
  TRY(keep_only(std::move(keep)));
  if (::chdir("/") < 0) return sys_error("changing to /", errno);
  TRY(limit(RLIMIT_CORE, 0));
  TRY(limit(RLIMIT_FSIZE, 0));
  TRY(limit(RLIMIT_DATA, kMostMemory));
  TRY(limit(RLIMIT_NOFILE, spec.descriptors));
  TRY(drop_identity());
  TRY(forbid_files(spec.connects));
  // After the identity, whose change clears it (credentials(7)). The parent may have ended before.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return sys_error("tying the worker to its parent", errno);
  if (::getppid() != parent) return fail(Fault::failed, "the parent has ended");
  if (const int error = seccomp::install_filter(seccomp::kWorker.program, 0))
    return sys_error("installing a worker's system call filter", error);
  return {};
}

[[noreturn]] void be_worker(const WorkerSpec& spec, const std::function<void(int)>& work, int channel, pid_t parent) {
  const auto done = confine(spec, channel, parent);
  const std::string answer = done ? "" : done.error().message.substr(0, kMessageRoom - 1);
  // One byte more than the text: an empty message would look like the end of the file.
  if (::send(channel, answer.c_str(), answer.size() + 1, MSG_NOSIGNAL) < 0 || !done) ::_exit(1);
  work(channel);
  ::_exit(0);
}

}  // namespace

Result<Worker> Worker::begin(const WorkerSpec& spec, const std::function<void(int channel)>& work) {
  SocketPair pair = TRY(create_socket_pair());
  Worker result;
  result.name_ = spec.name;
  const pid_t parent = ::getpid();
  result.pid_ = ::fork();
  if (result.pid_ < 0) return sys_error("forking " + std::string(spec.name), errno);
  if (result.pid_ == 0) be_worker(spec, work, pair.theirs.get(), parent);
  pair.theirs.reset();
  result.channel_ = std::move(pair.ours);
  result.pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, result.pid_, 0)));
  if (!result.pidfd_) return sys_error("opening " + std::string(spec.name), errno);
  return result;
}

Result<> Worker::await_confined() {
  char message[kMessageRoom];
  const auto got = receive_message(channel(), message, sizeof message, "waiting for a worker");
  const bool confined = got && got->size == 1;
  if (confined && ::fcntl(channel(), F_SETFL, O_NONBLOCK) == 0) return {};
  if (confined) return sys_error("making a channel non-blocking", errno);
  const std::string how = end();
  if (!got) return std::unexpected(got.error());
  return fail(Fault::failed,
              "confining " + std::string(name_) + ": " + (got->size == 0 ? how : std::string(message, got->size - 1)));
}

Worker& Worker::operator=(Worker&& other) noexcept {
  if (this != &other) {
    reset();
    name_ = other.name_;
    channel_ = std::move(other.channel_);
    pidfd_ = std::move(other.pidfd_);
    pid_ = std::exchange(other.pid_, -1);
  }
  return *this;
}

void Worker::reset() {
  if (pid_ > 0) (void)end();
}

// Without a pidfd it is our child all the same, not reaped yet: the number is its own.
void Worker::kill() {
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  else if (pid_ > 0) ::kill(pid_, SIGKILL);
}

std::string Worker::end() {
  kill();
  channel_.reset();
  pidfd_.reset();
  const auto status = await_child(std::exchange(pid_, -1));
  return status ? describe_status(*status) : "reaped before";
}

}  // namespace bailey::network
