#include "network/userspace/guard.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "network/dns/resolver.h"
#include "network/ip/netns.h"

namespace bailey::network {

namespace {

Result<> settle_identity() {
  // Refused where the namespace has one group id only that an ordinary user mapped (user_namespaces(7)).
  if (::setgroups(0, nullptr) < 0 && errno != EPERM) return sys_error("dropping groups", errno);
  if (::setresgid(0, 0, 0) < 0) return sys_error("becoming group 0 of the userspace network", errno);
  if (::setresuid(0, 0, 0) < 0) return sys_error("becoming user 0 of the userspace network", errno);
  return {};
}

// A change of identity clears it (credentials(7)). The parent is outside this pid namespace: its end of the channel tells.
Result<> die_with_parent(int channel) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return sys_error("tying the uplink to Bailey", errno);
  pollfd end{channel, 0, 0};
  if (::poll(&end, 1, 0) > 0 && (end.revents & POLLHUP)) return fail(Fault::failed, "Bailey has ended");
  return {};
}

Result<> attach_devices(int devices) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) return sys_error("leaving the host's mounts", errno);
  if (devices < 0) return {};
  if (::syscall(SYS_move_mount, devices, "", AT_FDCWD, "/dev/net", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return sys_error("putting a tun device at /dev/net", errno);
  return {};
}

Result<> give(int channel, int fd) {
  if (const int err = send_fds(channel, &fd, 1)) return sys_error("handing over the userspace network", err);
  return {};
}

// A new namespace takes some settings over from the host's (net.core.devconf_inherit_init_net).
Result<> make_namespace(const GuardWork& work) {
  if (::unshare(CLONE_NEWNET) < 0) return sys_error("creating the userspace network's network namespace", errno);
  for (const char* links : {"all", "default"}) {
    TRY(disable_ipv6(links));
    TRY(files::write_existing(AT_FDCWD, std::string("/proc/sys/net/ipv4/conf/") + links + "/route_localnet", "0"));
  }
  TRY(files::write_existing(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1"));
  const Netns made = TRY(Netns::of_this_thread());
  TRY(give(work.channel, made.fd()));
  if (work.names.value == 0) return {};
  const NameSockets names = TRY(bind_names(work.names));
  TRY(give(work.channel, names.datagrams.get()));
  return give(work.channel, names.listener.get());
}

void tell(int channel, const Error& error) {
  const std::string text = error.message.substr(0, 500);
  (void)::send(channel, text.c_str(), text.size() + 1, MSG_NOSIGNAL);
}

int wait_for(pid_t child) {
  int status = 0;
  for (;;) {
    const pid_t ended = ::waitpid(-1, &status, 0);
    if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (ended < 0 && errno != EINTR) return 1;
  }
}

Result<> run_child_in_new_namespace(const GuardWork& work) {
  const pid_t child = ::fork();
  if (child < 0) return sys_error("forking", errno);
  if (child > 0) return wait_for(child) == 0 ? Result<>() : fail(Fault::failed, "");
  const auto made = make_namespace(work);
  if (!made) tell(work.channel, made.error());
  ::_exit(made ? 0 : 1);
}

// Both take what is ignored or blocked when they start for theirs; pasta refuses to start with SIGPIPE ignored.
void restore_signals() {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void execute(const GuardWork& work, const std::string& netns) {
  restore_signals();
  rlimit descriptors{};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {  // one for each connection
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
  }
  std::vector<char*> argv;
  for (const std::string& one : work.arguments)
    argv.push_back(const_cast<char*>(one == kNetnsPath ? netns.c_str() : one.c_str()));
  argv.push_back(nullptr);
  char* const no_environment[] = {nullptr};
  ::dup2(work.output, 1);
  ::dup2(work.output, 2);
  ::syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
  ::syscall(SYS_execveat, work.program, "", argv.data(), no_environment, AT_EMPTY_PATH);
  const std::string why = std::string("executing it: ") + std::strerror(errno);
  (void)!::write(2, why.data(), why.size());
  ::_exit(127);
}

// The uplink reads the namespace through this process's descriptors (/proc/PID/fd/N): that takes no more rights than it has,
// and that this process lets itself be looked at. It has no secret: it is a copy of Bailey from before there are any.
Result<> give_up_rights() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capset, &header, none) < 0) return sys_error("dropping capabilities", errno);
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0) return sys_error("becoming dumpable", errno);
  return {};
}

Result<int> guard(const GuardWork& work) {
  for (char** entry = environ; *entry; ++entry) ::explicit_bzero(*entry, std::strlen(*entry));
  ::prctl(PR_SET_NAME, "bailey-uplink");
  TRY(keep_only({work.channel, work.program, work.output, work.devices}));
  restore_signals();
  if (::setsid() < 0) return sys_error("leaving the caller's session", errno);  // and with it the terminal's Ctrl-C
  GuardStart start;
  if (TRY(receive_message(work.channel, reinterpret_cast<char*>(&start), sizeof start, "waiting for Bailey")).size !=
      sizeof start)
    return fail(Fault::failed, "Bailey has ended");
  TRY(settle_identity());
  TRY(die_with_parent(work.channel));
  TRY(attach_devices(work.devices));
  const rlimit no_core{};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (const auto made = run_child_in_new_namespace(work); !made) ::_exit(1);  // it has said why
  char byte = 0;
  const auto answer = TRY(receive_message(work.channel, &byte, 1, "waiting for Bailey"));
  if (!answer.descriptor) return fail(Fault::failed, "Bailey has ended");
  TRY(give_up_rights());
  const std::string netns = "/proc/" + std::to_string(start.pid) + "/fd/" + std::to_string(answer.descriptor.get());
  const pid_t child = ::fork();
  if (child < 0) return sys_error("forking", errno);
  if (child == 0) execute(work, netns);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);  // not before: the uplink's capabilities come by its execution
  ::close(work.output);                      // so that its end is the end of the file
  ::close(work.channel);
  return wait_for(child);
}

}  // namespace

void be_guard(const GuardWork& work) {
  const auto ended = guard(work);
  if (!ended) tell(work.channel, ended.error());
  ::_exit(ended ? *ended : 1);
}

}  // namespace bailey::network
