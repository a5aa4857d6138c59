// Small per-process switches on the way into the sandbox. Each returns 0 or an errno, allocates nothing and
// may run between clone and exec.
#pragma once

namespace bailey::native {

// No exec gains anything from set-id bits or file capabilities, for good. Before Landlock and seccomp, which
// ask for it.
int set_no_new_privileges();

// A session key ring of its own, empty: the caller's would be readable through the inherited one. A kernel
// without key rings has nothing to leave behind: no error.
int join_fresh_keyring();
// The next exec makes a process that nobody else may trace or look into, from its first instruction on: its gids differ then
// (execve(2), fs/exec.c). Where no second gid is mapped it stays as it is. The program has to set its gids anew.
void start_undumpable();

// Until the next exec nobody may trace this process or look into its /proc/PID (CVE-2016-9962).
int forbid_dumping();

// To the kernel an ordinary user's sandbox is that user. Takes no more than half of what one user may have of inotify
// instances, of queued signals and POSIX timers, and of message queues. In the sandbox's own user namespace, with its
// capabilities and still with the host's /proc.
int leave_half_to_the_caller();

}  // namespace bailey::native
