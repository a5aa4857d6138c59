#include "init/kernel.h"

#include <asm/signal.h>
#include <asm/unistd.h>
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/wait.h>

extern "C" {

long bailey_init_clone(unsigned long flags, void* stack, void (*entry)(void*), void* argument);

// The compiler may call these whatever the flags say.
void* memset(void* to, int value, size_t size) {
  auto* bytes = static_cast<volatile unsigned char*>(to);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(value);
  return to;
}
void* memcpy(void* to, const void* from, size_t size) {
  auto* out = static_cast<volatile unsigned char*>(to);
  auto* in = static_cast<const unsigned char*>(from);
  for (size_t i = 0; i < size; ++i) out[i] = in[i];
  return to;
}
}

// Both architectures: _start hands main the initial stack (argc, argv..., NULL, env...); the clone leaves the
// child on its own stack, so that the return address on ours stays what it is.
#if defined(__x86_64__)
asm(R"(
        .text
        .global _start
_start: xor %ebp, %ebp
        mov %rsp, %rdi
        and $-16, %rsp
        call bailey_init_main
        hlt
        .global bailey_init_clone
bailey_init_clone:
        mov %rdx, %r8           # entry and argument in registers that the call keeps
        mov %rcx, %r9
        xor %edx, %edx
        xor %r10d, %r10d
        mov $56, %eax           # __NR_clone; r8 would be the TLS, which the flags do not ask for
        syscall
        test %rax, %rax
        jnz 1f
        xor %ebp, %ebp
        mov %r9, %rdi
        call *%r8
        hlt
1:      ret
)");
#elif defined(__aarch64__)
asm(R"(
        .text
        .global _start
_start: mov x29, xzr
        mov x0, sp
        bl bailey_init_main
        brk #0
        .global bailey_init_clone
bailey_init_clone:
        mov x5, x2
        mov x6, x3
        mov x2, xzr
        mov x3, xzr
        mov x4, xzr
        mov x8, #220            // __NR_clone
        svc #0
        cbnz x0, 1f
        mov x29, xzr
        mov x0, x6
        blr x5
        brk #0
1:      ret
)");
#else
#error "init knows x86_64 and aarch64"
#endif

namespace bailey::init::kernel {

namespace {

long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#else
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#endif
}

long address(const void* pointer) { return reinterpret_cast<long>(pointer); }

struct DirectoryEntry {  // getdents64(2)
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[];
};

void close_listed(unsigned first, unsigned last) {
  const long directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (directory < 0) {
    for (unsigned fd = first; fd <= last && fd < 4096; ++fd) close(static_cast<int>(fd));
    return;
  }
  alignas(DirectoryEntry) char buffer[4096];
  for (;;) {
    const long size = call(__NR_getdents64, directory, address(buffer), sizeof buffer);
    if (size <= 0) break;
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
      at += entry->size;  // NOLINT(clang-analyzer-core.uninitialized.Assign): the kernel has written it
      unsigned fd = 0;
      const char* digit = entry->name;
      for (; *digit >= '0' && *digit <= '9'; ++digit) fd = fd * 10 + static_cast<unsigned>(*digit - '0');
      if (*digit == 0 && fd >= first && fd <= last && fd != static_cast<unsigned>(directory)) close(static_cast<int>(fd));
    }
  }
  close(static_cast<int>(directory));
}

}  // namespace

long open(const char* path, int flags, unsigned mode) { return call(__NR_openat, AT_FDCWD, address(path), flags, mode); }
long read(int fd, void* buffer, size_t size) { return call(__NR_read, fd, address(buffer), static_cast<long>(size)); }
long write(int fd, const void* buffer, size_t size) { return call(__NR_write, fd, address(buffer), static_cast<long>(size)); }
long close(int fd) { return call(__NR_close, fd); }
long pipe(int ends[2]) { return call(__NR_pipe2, address(ends), O_CLOEXEC); }
long duplicate_above(int fd, int least) { return call(__NR_fcntl, fd, F_DUPFD_CLOEXEC, least); }
long duplicate_to(int fd, int number) { return call(__NR_dup3, fd, number, 0); }
long set_nonblocking(int fd) { return call(__NR_fcntl, fd, F_SETFL, O_NONBLOCK); }
long set_pipe_size(int fd, long bytes) { return call(__NR_fcntl, fd, F_SETPIPE_SZ, bytes); }
long splice(int from, int to, size_t size) {
  return call(__NR_splice, from, 0, to, 0, static_cast<long>(size), 2 /* SPLICE_F_NONBLOCK */);
}

void close_range(unsigned first, unsigned last) {
  if (first > last) return;
  if (call(__NR_close_range, first, last, 0) < 0) close_listed(first, last);
}

long close_range_on_exec(unsigned first, unsigned last) {
  return call(__NR_close_range, first, last, 4 /* CLOSE_RANGE_CLOEXEC */);
}

long unlink(const char* path) { return call(__NR_unlinkat, AT_FDCWD, address(path), 0); }
bool exists(const char* path) { return call(__NR_faccessat, AT_FDCWD, address(path), 0) == 0; }

bool is_directory(const char* path) {
  const long fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd >= 0) close(static_cast<int>(fd));
  return fd >= 0;
}

long may_execute(const char* path) {
  const long may = call(__NR_faccessat, AT_FDCWD, address(path), 1 /* X_OK */);
  if (may < 0) return may;
  if (is_directory(path)) return -EACCES;
  char begin[4] = {};
  const long fd = open(path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return 0;  // what may be executed need not be readable
  const long got = read(static_cast<int>(fd), begin, sizeof begin);
  close(static_cast<int>(fd));
  const bool script = got >= 2 && begin[0] == '#' && begin[1] == '!';
  const bool program = got == 4 && begin[0] == 0x7f && begin[1] == 'E' && begin[2] == 'L' && begin[3] == 'F';
  return script || program ? 0 : -ENOEXEC;
}

long chdir(const char* path) { return call(__NR_chdir, address(path)); }
long getcwd(char* buffer, size_t size) { return call(__NR_getcwd, address(buffer), static_cast<long>(size)); }
bool is_pipe_or_socket(int fd) {
  constexpr unsigned kType = 0170000, kPipe = 0010000, kSocket = 0140000;
  struct statx about{};
  if (call(__NR_statx, fd, address(""), AT_EMPTY_PATH, STATX_TYPE, address(&about)) < 0) return false;
  return (about.stx_mode & kType) == kPipe || (about.stx_mode & kType) == kSocket;
}
long umask(unsigned mask) { return call(__NR_umask, mask); }
long chown(int fd, uint32_t uid, uint32_t gid) { return call(__NR_fchown, fd, uid, gid); }
long chown(const char* path, uint32_t uid, uint32_t gid) {
  return call(__NR_fchownat, AT_FDCWD, address(path), uid, gid, AT_SYMLINK_NOFOLLOW);
}

void* map(size_t size) {
  const long at = call(__NR_mmap, 0, static_cast<long>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at < 0 && at > -4096 ? nullptr : reinterpret_cast<void*>(at);
}
void unmap(void* at, size_t size) { call(__NR_munmap, address(at), static_cast<long>(size)); }

long spawn_sharing(void* stack, void (*entry)(void*), void* argument, Descriptors descriptors) {
  const unsigned long files = descriptors == Descriptors::shared ? CLONE_FILES : 0;
  return bailey_init_clone(CLONE_VM | CLONE_VFORK | SIGCHLD | files, stack, entry, argument);
}
long execve(const char* path, const char* const* argv, const char* const* env) {
  return call(__NR_execve, address(path), address(argv), address(env));
}
void exit(int code) {
  for (;;) call(__NR_exit_group, code);
}
long getpid() { return call(__NR_getpid); }
namespace {

Usage usage_of(const rusage& used) {
  const auto microseconds = [](const auto& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
  };
  return {microseconds(used.ru_utime), microseconds(used.ru_stime), static_cast<uint64_t>(used.ru_maxrss) * 1024};
}

long wait(int child, int* status, int flags, Usage* used) {
  rusage its_own{};
  const long pid = call(__NR_wait4, child, address(status), flags | __WALL, used ? address(&its_own) : 0);
  if (used && pid > 0) *used = usage_of(its_own);
  return pid;
}

}  // namespace

long wait_any(int* status, int flags, Usage* used) { return wait(-1, status, flags, used); }
long wait_for(int pid, int* status, Usage* used) { return wait(pid, status, WNOHANG, used); }

Usage usage(Whose whose) {
  rusage used{};
  if (call(__NR_getrusage, whose == Whose::own ? RUSAGE_SELF : RUSAGE_CHILDREN, address(&used)) < 0) return {};
  return usage_of(used);
}

uint64_t monotonic_us() {
  int64_t now[2] = {};  // timespec
  call(__NR_clock_gettime, CLOCK_MONOTONIC, address(now));
  return static_cast<uint64_t>(now[0]) * 1'000'000 + static_cast<uint64_t>(now[1]) / 1000;
}

void let_go(int pid, int status) {
  struct {  // the beginning of a siginfo, which has 128 bytes
    int signal, error, code, rest[29];
  } info{};
  int signal = (status >> 8) & 0xff;
  // Of an exec, which stops what is traced and nothing else. Its code is that of kill(2), whose TRAP is as rare as it is
  // useless.
  if (signal == SIGTRAP && call(__NR_ptrace, PTRACE_GETSIGINFO, pid, 0, address(&info)) == 0 && info.code == 0) signal = 0;
  call(__NR_ptrace, PTRACE_DETACH, pid, 0, signal);
}

long kill(int pid, int number) { return call(__NR_kill, pid, number); }

void block_signals(SignalSet set) { call(__NR_rt_sigprocmask, SIG_SETMASK, address(&set), 0, sizeof set); }
void default_action(int number) {
  const uint64_t action[4] = {};  // handler SIG_DFL, no flags, no restorer, empty mask
  call(__NR_rt_sigaction, number, address(action), 0, sizeof(SignalSet));
}
long open_signals(SignalSet set) { return call(__NR_signalfd4, -1, address(&set), sizeof set, O_NONBLOCK | O_CLOEXEC); }
long poll(pollfd* entries, unsigned count, long timeout_ns) {
  const long timeout[2] = {0, timeout_ns};  // timespec
  return call(__NR_ppoll, address(entries), count, timeout_ns < 0 ? 0 : address(timeout), 0, 0);
}

long setsid() { return call(__NR_setsid); }
long setpgid(int pid, int group) { return call(__NR_setpgid, pid, group); }
long ioctl(int fd, unsigned long request, void* argument) {
  return call(__NR_ioctl, fd, static_cast<long>(request), address(argument));
}
long set_rlimit(unsigned resource, uint64_t soft, uint64_t hard) {
  const uint64_t limit[2] = {soft, hard};
  return call(__NR_prlimit64, 0, resource, address(limit), 0);
}
long setgroups(size_t count, const uint32_t* gids) { return call(__NR_setgroups, static_cast<long>(count), address(gids)); }
long setgid(uint32_t gid) { return call(__NR_setresgid, gid, gid, gid); }
long setuid(uint32_t uid) { return call(__NR_setresuid, uid, uid, uid); }

// All capabilities of the low 32 numbers, the same in both sets; none inheritable.
static long set_capabilities(uint32_t low) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{low, low, 0}, {0, 0, 0}};
  return call(__NR_capset, address(&header), address(data));
}

// What "as=" keeps, which is all that the runtime gave init.
constexpr int kKeptCapabilities[] = {CAP_KILL, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_CHOWN};

long become(uint32_t uid) {
  uint32_t kept = 0;
  for (const int number : kKeptCapabilities) kept |= 1u << number;
  long result = call(__NR_prctl, PR_SET_KEEPCAPS, 1);
  if (result == 0) result = setgroups(0, nullptr);
  if (result == 0) result = setgid(uid);
  if (result == 0) result = setuid(uid);
  return result == 0 ? set_capabilities(kept) : result;
}

long act_as(uint32_t uid, uint32_t gid) {
  constexpr uint32_t kSame = ~0u;
  const long result = call(__NR_setresgid, kSame, gid, kSame);
  return result == 0 ? call(__NR_setresuid, kSame, uid, kSame) : result;
}

long drop_capabilities() {
  for (const int number : kKeptCapabilities) call(__NR_prctl, PR_CAPBSET_DROP, number);
  call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return set_capabilities(0);
}

long limit_bounding_set(uint64_t bounding) {
  for (int number = 0; number < 64; ++number) {
    if (bounding & (uint64_t{1} << number)) continue;
    const long dropped = call(__NR_prctl, PR_CAPBSET_DROP, number);
    if (dropped == -EINVAL) return 0;  // the kernel knows no more of them
    if (dropped < 0) return dropped;
  }
  return 0;
}

long keep_capabilities() { return call(__NR_prctl, PR_SET_KEEPCAPS, 1); }

long set_capabilities(const Capabilities& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const uint64_t permitted = sets.permitted | sets.extra, effective = sets.effective | sets.extra;
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; ++i) {
    const auto part = [i](uint64_t set) { return static_cast<uint32_t>(set >> (32 * i)); };
    data[i] = {part(effective), part(permitted), part(sets.inheritable)};
  }
  long result = call(__NR_capset, address(&header), address(data));
  if (result == 0) result = call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int number = 0; result == 0 && number < 64; ++number)
    if (sets.ambient & (uint64_t{1} << number)) result = call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0);
  return result;
}

long forbid_new_privileges() { return call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

void hide_self() {
  call(__NR_prctl, PR_SET_DUMPABLE, 0);
  call(__NR_prctl, PR_SET_NAME, address("init"));
}

long install_filter(const void* program, unsigned short count, unsigned flags) {
  const struct {  // sock_fprog
    unsigned short length;
    const void* filter;
  } argument = {count, program};
  return call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, address(&argument));
}

// msghdr and cmsghdr as the kernel reads them on 64-bit machines (include/linux/socket.h).
long send_descriptor(int socket, const void* message, size_t size, int descriptor) {
  const struct {
    size_t length;
    int level, type;
    int descriptor, padding;
  } control = {sizeof(size_t) + 3 * sizeof(int), 1 /* SOL_SOCKET */, 1 /* SCM_RIGHTS */, descriptor, 0};
  const struct {
    const void* base;
    size_t length;
  } part = {message, size};
  const struct {
    const void* name;
    int name_length;
    const void* parts;
    size_t part_count;
    const void* control;
    size_t control_length;
    int flags;
  } header = {nullptr, 0, &part, 1, &control, sizeof control, 0};
  return call(__NR_sendmsg, socket, address(&header), 0x4000 /* MSG_NOSIGNAL */);
}

}  // namespace bailey::init::kernel
