// The job: what PID 1 is to run, as data, and the report it gives back. Shared by init (no libc) and by both backends.
//
//   dispatcher                                     init (PID 1 of either backend)
//   -----------------------------------------------------------------------------
//   JobHeader + rlimits + gids + strings  ---->    reads job_fd to its end of message
//                                         <----    Report{started, pid}            after exec succeeded (CLOEXEC pipe closed)
//                                         <----    Report{failed, step, errno}     or this one instead, and exits 125
//                                         <----    Report{exited|signaled, value}  then exits with value, or 128 + value
//
// argv of init: "init" FD        job and report on descriptor FD: a SOCK_SEQPACKET socket (native) — EOF on it means the
//                                 dispatcher died: init kills all and exits
//               "init" IN OUT    two descriptors: pipes (gVisor with --pass-fd)
//               "init" DIR       DIR/job is read, DIR/report is written (gVisor builds without --pass-fd)
// Integers are in host byte order: both ends are one machine.
#pragma once

#include <stdint.h>

namespace bailey::init {

inline constexpr uint32_t kJobMagic = 0x314a5942;     // "BYJ1"
inline constexpr uint32_t kReportMagic = 0x31525942;  // "BYR1"
inline constexpr uint32_t kMaxJobBytes = 4u << 20;    // argv and env: execve allows a quarter of the stack, 2 MiB by default

struct JobHeader {
  uint32_t magic;
  uint32_t total_bytes;  // of header and everything behind it
  uint32_t argc;
  uint32_t envc;
  uint32_t rlimit_count;
  uint32_t gid_count;
  uint32_t flags;  // JobFlags
  uint32_t uid;
  uint32_t gid;
  uint32_t umask;
  // Behind it: JobRlimit[rlimit_count], uint32_t gids[gid_count], then NUL-terminated strings: cwd, argv..., env...
};

enum JobFlags : uint32_t {
  kJobSetUser = 1,    // set gids, gid, uid (init was started with the right to)
  kJobSetUmask = 2,
  kJobTerminal = 4,   // stdin is the terminal that becomes the controlling one of the workload's session
};

struct JobRlimit {
  uint64_t resource;  // RLIMIT_* number
  uint64_t soft;
  uint64_t hard;
};

enum class ReportKind : uint32_t { started = 1, failed = 2, exited = 3, signaled = 4 };

enum class Step : uint32_t { none, read_job, fork, session, terminal, rlimit, user, umask, cwd, exec };

struct Report {
  uint32_t magic;
  ReportKind kind;
  int32_t value;  // started: pid inside; failed: errno; exited: code; signaled: signal number
  Step step;      // of failed
};

}  // namespace bailey::init
