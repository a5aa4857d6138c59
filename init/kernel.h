// The system calls of the init program, without a libc. A function that returns long returns the kernel's result: a value or
// -errno.
#pragma once

#include <linux/types.h>
#include <stddef.h>
#include <stdint.h>

struct pollfd;

namespace bailey::init::kernel {

using SignalSet = uint64_t;  // bit n-1 is signal n
inline constexpr int kSignals = 64;
constexpr SignalSet signal_bit(unsigned number) { return SignalSet{1} << (number - 1); }

long open(const char* path, int flags, unsigned mode);
long read(int fd, void* buffer, size_t size);
long write(int fd, const void* buffer, size_t size);
long close(int fd);
long pipe(int ends[2]);                   // close on exec
long duplicate_above(int fd, int least);  // close on exec
long duplicate_to(int fd, int number);
long set_nonblocking(int pipe);  // and none of the other flags that can be changed
long set_pipe_size(int fd, long bytes);
long splice(int from, int to, size_t size);  // without waiting; one of them is a pipe
// Closes first..last. Kernels without close_range (gVisor of 2022) get it from /proc/self/fd.
void close_range(unsigned first, unsigned last);
long close_range_on_exec(unsigned first, unsigned last);  // Linux 5.11
long unlink(const char* path);
bool exists(const char* path);
bool is_directory(const char* path);
long may_execute(
    const char* path);  // 0 or -errno; -EACCES for a directory, -ENOEXEC for what is neither ELF nor begins with "#!"
long chdir(const char* path);
long getcwd(char* buffer, size_t size);  // length with the NUL
long umask(unsigned mask);
long chown(int fd, uint32_t uid, uint32_t gid);
bool is_pipe_or_socket(int fd);
long chown(const char* path, uint32_t uid, uint32_t gid);  // no link is followed

void* map(size_t size);  // anonymous, private, zero; nullptr when there is no memory
void unmap(void* at, size_t size);

// Starts entry(argument) in a process that shares this memory until it executes or exits; waits for that.
// `stack` is its highest address, 16-aligned. Returns the pid. With Descriptors::shared a descriptor that the process opens is
// ours as well, and so is one that it closes; it gets a copy of its own when it executes.
enum class Descriptors { copied, shared };
long spawn_sharing(void* stack, void (*entry)(void*), void* argument, Descriptors descriptors);
long execve(const char* path, const char* const* argv, const char* const* env);
[[noreturn]] void exit(int code);
long getpid();
// Of this process, or of all that it and its children have waited for; all 0 where the kernel refuses to say.
struct Usage {
  uint64_t user_us = 0, system_us = 0, max_rss_bytes = 0;
};
// wait4(-1, ..., __WALL): orphans of every kind. `used`: of that child and what it has waited for.
long wait_any(int* status, int flags, Usage* used = nullptr);
long wait_for(int pid, int* status, Usage* used);  // likewise of this child, without waiting: 0 when it has not ended
// A stop is told only of a process that has made us its tracer (PTRACE_TRACEME): that is no end.
inline bool is_stop(int status) { return (status & 0xff) == 0x7f; }
enum class Whose { own, children };
Usage usage(Whose whose);
uint64_t monotonic_us();
// Ends the tracing of a process that has stopped with this status of wait_any; the process goes on as if it were not traced.
void let_go(int pid, int status);
long kill(int pid, int number);

void block_signals(SignalSet set);  // becomes the mask
void default_action(int number);
long open_signals(SignalSet set);                             // signalfd: non-blocking, close on exec
long poll(pollfd* entries, unsigned count, long timeout_ns);  // below a second; -1: without a time limit

long setsid();
long setpgid(int pid, int group);
long ioctl(int fd, unsigned long request, void* argument);
long set_rlimit(unsigned resource, uint64_t soft, uint64_t hard);
long setgroups(size_t count, const uint32_t* gids);
long setgid(uint32_t gid);  // real, effective and saved
long setuid(uint32_t uid);
// This process becomes `uid` (of all three kinds, and as a group; no other groups) and keeps CAP_KILL, CAP_SETUID, CAP_SETGID,
// CAP_SETPCAP and CAP_CHOWN, all of which it needs.
long become(uint32_t uid);
// Sets the effective ids only, so that new files belong to them. become() has to follow.
long act_as(uint32_t uid, uint32_t gid);
// Drops all capabilities for good. The process has no others than those that become() keeps. Needs CAP_SETPCAP.
long drop_capabilities();
// The capabilities of a process that is root, down to what is asked for: the bounding set, then the ids, then the other sets.
// `extra`: stays permitted and effective until the exec, whose rules then take it away, because it is in no other set. Needs
// CAP_SETPCAP, CAP_SETUID and CAP_SETGID.
struct Capabilities {
  uint64_t bounding, permitted, effective, inheritable, ambient, extra;
};
long limit_bounding_set(uint64_t bounding);
long keep_capabilities();  // over the next change of the user
long set_capabilities(const Capabilities& sets);
long forbid_new_privileges();
// Undumpable: nobody in the sandbox reads this process's memory or descriptors. Its name becomes "init".
void hide_self();
// `program`: count instructions (sock_filter). Returns the listener when the flags ask for one, otherwise 0.
long install_filter(const void* program, unsigned short count, unsigned flags);
// One message over a socket, with a descriptor.
long send_descriptor(int socket, const void* message, size_t size, int descriptor);

}  // namespace bailey::init::kernel
