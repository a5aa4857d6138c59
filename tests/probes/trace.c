// trace process PID    what a tracer would do to that process: "attach", "seize", "memory" (its file), "read" (by address)
// trace child          attaches to a child, reads and changes a value of its and lets it go: "child"
// trace thread         the same with a thread of its own process, from a clone without its own memory, as LeakSanitizer does
// trace change         a child makes an allowed call, the tracer makes unshare(CLONE_NEWUSER) of it before the kernel looks:
// what
//                      the child got is "changed"; "unchanged" when the tracer only watches. It also lets go on what a filter
//                      leaves to a tracer (SECCOMP_RET_TRACE)
// trace filters        what a tracer may ask about filters, and whether it may suspend them: "get", "metadata", "suspend"
// trace init           makes PID 1 its tracer, gets a signal ("signal"), executes itself ("exec") and ends with 7
#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "verdict.h"

static volatile long value = 41;

static long attach_and_change(pid_t pid) {
  int status = 0;
  if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0) return -1;
  if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return -1;
  errno = 0;
  const long seen = ptrace(PTRACE_PEEKDATA, pid, &value, NULL);
  if (errno != 0 || ptrace(PTRACE_POKEDATA, pid, &value, seen + 1) < 0) return -1;
  return ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void trace_process(pid_t pid) {
  tell("attach", ptrace(PTRACE_ATTACH, pid, NULL, NULL));
  tell("seize", ptrace(PTRACE_SEIZE, pid, NULL, NULL));
  char path[64], byte = 0;
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  tell("memory", open(path, O_RDWR | O_CLOEXEC));
  const struct iovec to = {&byte, 1}, from = {(void*)(uintptr_t)&value, 1};
  const long got = process_vm_readv(pid, &to, 1, &from, 1, 0);
  tell("read", got < 0 && errno == EFAULT ? 0 : got);  // another program: nothing there, but allowed
}

static void trace_child(void) {
  const pid_t child = fork();
  if (child == 0) {
    while (value == 41) usleep(1000);
    _exit(value == 42 ? 0 : 1);
  }
  tell("child", attach_and_change(child));
  int status = 0;
  if (value == 41 && waitpid(child, &status, WNOHANG) == 0 && errno == EPERM) kill(child, SIGKILL);
  waitpid(child, &status, 0);
}

static int thread_entry(void* argument) {
  *(long*)argument = attach_and_change(getppid()) < 0 ? errno : 0;
  return 0;
}

static void trace_thread(void) {
  static char stack[1 << 16];
  static long result = -1;
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);  // where only ancestors may trace (gVisor), the tracer is named
  const pid_t tracer = clone(thread_entry, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, &result);
  int status = 0;
  while (tracer > 0 && waitpid(tracer, &status, 0) < 0 && errno == EINTR) {}
  errno = (int)result;
  tell("thread", tracer > 0 && result == 0 && value == 42 ? 0 : -1);
}

// Into the call that the stopped process is about to make.
static int make_unshare(pid_t pid) {
#if defined(__x86_64__)
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) < 0) return -1;
  registers.orig_rax = SYS_unshare;
  registers.rdi = CLONE_NEWUSER;
  return (int)ptrace(PTRACE_SETREGS, pid, NULL, &registers);
#elif defined(__aarch64__)
  struct user_regs_struct registers;
  int number = SYS_unshare;
  struct iovec all = {&registers, sizeof registers}, call = {&number, sizeof number};
  if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all) < 0) return -1;
  registers.regs[0] = CLONE_NEWUSER;
  if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all) < 0) return -1;
  return (int)ptrace(PTRACE_SETREGSET, pid, 0x404 /* NT_ARM_SYSTEM_CALL */, &call);
#endif
}

static void trace_change(int change) {
  int* answer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *answer = -1;
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    *answer = syscall(SYS_getpriority, 0, 0) < 0 ? errno : 0;
    _exit(0);
  }
  int status = 0, entered = 0;
  while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    const int in_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
    if (WSTOPSIG(status) == SIGSTOP)
      ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP);
    if (in_call && entered++ == 0 && change && make_unshare(child) < 0) *answer = errno;
    ptrace(entered < 1 ? PTRACE_SYSCALL : PTRACE_CONT, child, NULL, NULL);
  }
  errno = *answer;
  tell(change ? "changed" : "unchanged", *answer == 0 ? 0 : -1);
}

static void trace_filters(void) {
  const pid_t child = fork();
  if (child == 0)
    for (;;) pause();
  int status = 0;
  ptrace(PTRACE_ATTACH, child, NULL, NULL);
  waitpid(child, &status, 0);
  tell("get", ptrace(0x420c, child, NULL, NULL));
  uint64_t metadata[2] = {0};
  tell("metadata", ptrace(0x420d, child, sizeof metadata, metadata));
  tell("suspend", ptrace(PTRACE_SETOPTIONS, child, NULL, 0x200000));
  tell("other options", ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACECLONE));
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
}

static volatile sig_atomic_t got_signal;
static void on_signal(int number) { got_signal = number; }

static int trace_init(char** argv) {
  signal(SIGUSR1, on_signal);
  tell("traceme", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
  raise(SIGUSR1);
  tell("signal", got_signal == SIGUSR1 ? 0 : -1);
  execl("/proc/self/exe", argv[0], "end", NULL);
  return 1;
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "process") == 0 && argc > 2) trace_process(atoi(argv[2]));
  else if (strcmp(what, "child") == 0) trace_child();
  else if (strcmp(what, "thread") == 0) trace_thread();
  else if (strcmp(what, "change") == 0) trace_change(1), trace_change(0);
  else if (strcmp(what, "filters") == 0) trace_filters();
  else if (strcmp(what, "init") == 0) return trace_init(argv);
  else if (strcmp(what, "end") == 0) return tell("exec", 0), 7;
  else return 2;
  return 0;
}
