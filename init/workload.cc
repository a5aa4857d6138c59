#include "init/workload.h"

#include <asm/ioctls.h>
#include <asm/resource.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/seccomp.h>

namespace bailey::init {

namespace {

constexpr size_t kStackBytes = 32 << 10;               // PATH search holds a path of PATH_MAX on it
constexpr const char* kDefaultPath = "/bin:/usr/bin";  // what execvp takes when there is no PATH

// The process that becomes the workload: a new one, which shares this memory until it executes, or PID 1 itself.
struct Becoming {
  const Job* job;
  bool terminal_is_ours;
  bool in_place;
  const int* streams;
  void (*announce)(void*);
  void* argument;
  Start result;
};

size_t length(const char* text) {
  size_t n = 0;
  while (text[n]) ++n;
  return n;
}

bool has_slash(const char* text) {
  for (; *text; ++text)
    if (*text == '/') return true;
  return false;
}

bool wants_listener(const Job& job) {
  return job.header->filter_count && (job.header->filter_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

// One try. ENOENT of a file that is there means its interpreter or loader: remembered, because it makes the
// better message.
long execute(const char* path, const Job& job, bool& interpreter_missing) {
  const long error = -kernel::execve(path, job.argv, job.env);
  // With a listener that nobody serves yet, a call that the filter reports would never return: only execve and exit are sure
  // to pass.
  if (error == ENOENT && !wants_listener(job) && kernel::exists(path)) interpreter_missing = true;
  return error;
}

// As execvp: a name with a slash is not searched for; an empty element of PATH is the working directory;
// EACCES is only reported when no later element has the program. Unlike it, ENOEXEC is an error and not a
// shell script. `attempt`, of one path, returns an errno, or 0 to end the search.
template <typename Attempt>
long search(const Job& job, Attempt attempt) {
  const char* name = job.argv[0];
  if (!*name) return ENOENT;
  if (has_slash(name)) {
    const long error = attempt(name);
    return error == EACCES && !wants_listener(job) && kernel::is_directory(name) ? EISDIR : error;
  }
  const size_t name_length = length(name);
  if (name_length > NAME_MAX) return ENAMETOOLONG;
  const char* element = find_variable(job.env, "PATH");
  if (!element) element = kDefaultPath;
  bool denied = false;
  for (;; ++element) {
    const char* end = element;
    while (*end && *end != ':') ++end;
    const size_t size = static_cast<size_t>(end - element);
    char path[PATH_MAX + NAME_MAX + 2];
    if (size < PATH_MAX) {  // a longer one cannot exist
      size_t at = 0;
      for (; at < size; ++at) path[at] = element[at];
      if (size) path[at++] = '/';
      for (size_t i = 0; i <= name_length; ++i) path[at + i] = name[i];
      const long error = attempt(path);
      if (error == EACCES) denied = true;
      else if (error != ENOENT && error != ENOTDIR && error != ESTALE && error != ENODEV && error != ETIMEDOUT) return error;
    }
    element = end;
    if (!*element) break;
  }
  return denied ? EACCES : ENOENT;
}

// A runtime that gave us the terminal already (gVisor) has bound it to our session: the workload then stays
// in that session as the foreground group. Otherwise it gets a session of its own, whose terminal this
// becomes.
long take_terminal(bool terminal_is_ours) {
  if (!terminal_is_ours) return kernel::ioctl(0, TIOCSCTTY, nullptr);
  int group = static_cast<int>(kernel::getpid());
  return kernel::ioctl(0, TIOCSPGRP, &group);
}

// The workload may open its streams again by /dev/stdout. A runtime gave them to whoever init started as (gVisor), an engine
// made them for this sandbox; but its /dev/null is everybody's.
void give_streams(const Job& job) {
  for (int stream = 0; stream < 3; ++stream)
    if (!job.privileges || kernel::is_pipe_or_socket(stream)) kernel::chown(stream, job.header->uid, job.header->gid);
}

long set_user(const Job& job) {
  give_streams(job);
  long result = kernel::setgroups(job.header->gid_count, job.gids);
  if (result == 0) result = kernel::setgid(job.header->gid);
  if (result == 0) result = kernel::setuid(job.header->uid);
  return result;
}

// Without no_new_privs a filter takes CAP_SYS_ADMIN (seccomp(2)). The exec takes it away again: it has every other set from
// here, and the permitted one is computed anew (capabilities(7)). So the filter need allow nothing but the exec.
long set_privileges(const JobPrivileges& wanted, bool installs_filter) {
  const uint64_t extra = installs_filter && !wanted.no_new_privileges ? uint64_t{1} << CAP_SYS_ADMIN : 0;
  const long set = kernel::set_capabilities(
      {wanted.bounding, wanted.permitted, wanted.effective, wanted.inheritable, wanted.ambient, extra});
  return set == 0 && wanted.no_new_privileges ? kernel::forbid_new_privileges() : set;
}

// The kernel prefixes the name of a directory outside our root with "(unreachable)": such a one would be a
// way out.
long enter_directory(const char* path) {
  const long result = kernel::chdir(path);
  if (result < 0) return result;
  char name[PATH_MAX];
  const long size = kernel::getcwd(name, sizeof name);
  return size < 0 ? size : name[0] == '/' ? 0 : -EXDEV;
}

long leave_descriptors(const Job& job, bool in_place) {
  if (in_place) return 0;  // they are closed on exec, and an error is told through one of them
  if (wants_listener(job)) return kernel::close_range_on_exec(3, ~0u);  // the table is PID 1's as well
  kernel::close_range(3, ~0u);
  return 0;
}

// Returns when it failed. In a new process it must not write to memory that start_workload still needs.
void become(Becoming& self) {
  const Job& job = *self.job;
  auto works = [&self](Step step, long result, uint32_t detail = 0) {
    if (result >= 0) return true;
    self.result.failed = step;
    self.result.error = static_cast<int>(-result);
    self.result.detail = detail;
    return false;
  };

  if (!self.in_place && !works(Step::session, self.terminal_is_ours ? kernel::setpgid(0, 0) : kernel::setsid())) return;
  for (int i = 0; self.streams && i < 3; ++i)
    if (!works(Step::streams, kernel::duplicate_to(self.streams[i], i))) return;
  if ((job.header->flags & kJobTerminal) && !works(Step::terminal, take_terminal(self.terminal_is_ours))) return;
  for (uint32_t i = 0; i < job.header->rlimit_count; ++i) {
    const JobRlimit& limit = job.rlimits[i];
    const auto resource = static_cast<uint32_t>(limit.resource);
    const long set = limit.resource < RLIM_NLIMITS ? kernel::set_rlimit(resource, limit.soft, limit.hard) : -EINVAL;
    if (!works(Step::rlimit, set, resource)) return;
  }
  // An engine may have made the directory for root alone; one that only the user may enter is tried again as the user.
  const bool entered = job.privileges && enter_directory(job.cwd) == 0;
  if (job.privileges && !works(Step::privileges, kernel::limit_bounding_set(job.privileges->bounding))) return;
  if (job.privileges && !works(Step::privileges, kernel::keep_capabilities())) return;
  if ((job.header->flags & kJobSetUser) && !works(Step::user, set_user(job))) return;
  if (job.privileges) {
    if (!works(Step::privileges, set_privileges(*job.privileges, job.header->filter_count != 0))) return;
  } else if (job.header->flags & kJobSetUser) {
    if (!works(Step::user, kernel::drop_capabilities())) return;
  }
  if (job.header->flags & kJobSetUmask) kernel::umask(job.header->umask);
  if (!works(Step::seccomp, leave_descriptors(job, self.in_place))) return;
  if (!entered && !works(Step::cwd, enter_directory(job.cwd))) return;
  if (self.announce) self.announce(self.argument);
  kernel::block_signals(0);
  if (job.header->filter_count) {
    const long listener =
        kernel::install_filter(job.filter, static_cast<unsigned short>(job.header->filter_count), job.header->filter_flags);
    if (!works(Step::seccomp, listener)) return;
    if (wants_listener(job)) self.result.listener = static_cast<int>(listener);
  }
  bool interpreter_missing = false;
  const long error = search(job, [&](const char* path) { return execute(path, job, interpreter_missing); });
  works(error == ENOENT && interpreter_missing ? Step::interpreter : Step::exec, -error);
}

void become_or_exit(void* becoming) {
  become(*static_cast<Becoming*>(becoming));
  kernel::exit(kExitFailed);
}

bool has_terminal(const Job& job) {
  int group = 0;
  return (job.header->flags & kJobTerminal) && kernel::ioctl(0, TIOCGPGRP, &group) == 0;
}

}  // namespace

int look_for_program(const Job& job) {
  return static_cast<int>(search(job, [](const char* path) { return -kernel::may_execute(path); }));
}

Start start_workload(const Job& job, const int* streams) {
  Becoming becoming{&job, has_terminal(job), false, streams, nullptr, nullptr, {}};
  auto* stack = static_cast<char*>(kernel::map(kStackBytes));
  // The listener comes to us by the shared table: once the filter is on, the new process can be sure of no call by which it
  // could hand it over.
  const auto descriptors = wants_listener(job) ? kernel::Descriptors::shared : kernel::Descriptors::copied;
  const long pid = stack ? kernel::spawn_sharing(stack + kStackBytes, become_or_exit, &becoming, descriptors) : -ENOMEM;
  if (stack) kernel::unmap(stack, kStackBytes);
  if (pid < 0) {
    becoming.result.failed = Step::fork;
    becoming.result.error = static_cast<int>(-pid);
  } else {
    becoming.result.pid = static_cast<int>(pid);
  }
  return becoming.result;
}

Start become_workload(const Job& job, void (*announce)(void*), void* argument) {
  Becoming becoming{&job, has_terminal(job), true, nullptr, announce, argument, {}};
  if (wants_listener(job)) {
    becoming.result.failed = Step::seccomp;
    becoming.result.error = EINVAL;
  } else {
    become(becoming);
  }
  return becoming.result;
}

}  // namespace bailey::init
