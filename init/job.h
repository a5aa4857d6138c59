// The job: what PID 1 is to run, as data, and the report it gives back. Between init (no libc) and a backend.
//
// clang-format off
//   backend                                    init (PID 1 of either backend)
//   --------------------------------------------------------------------------------------------------------
//                                        <---  Report{ready}: it runs and waits for a job, which may have been sent
//   Order{signal}*                       --->  kept, and delivered as soon as the workload runs
//   JobHeader, rlimits, gids, strings    --->  read until total_bytes are there
//                                        <---  Report{started, pid}, or
//                                        <---  Report{failed, errno, step, detail}, and exits with 125
//   Order{signal}*                       --->  to the workload's first process
//   end of file, or anything else        --->  the dispatcher is gone: kills all and exits with 137
//                                        <---  Report{exited or signaled, value} when everything else is dead
//                                              and reaped; then exits with value, or 128 + value
//
// That is job 0, the sandbox's own: its end is the sandbox's end. Jobs with other numbers may come before it, at the
// same time and after each other, as long as the sandbox lives (both forms whose channel stays open). Each has three pipes in place of the sandbox's
// streams, whose bytes travel over the channel, and starts, fails and ends alone:
//
//   JobHeader{number}, ...               --->
//                                        <---  Report{started or failed, job}; after `failed` there is no such job
//   Data{job, stream 0}, bytes           --->  its stdin; without bytes: that is at its end
//                                        <---  Room{job, stream 0, bytes}: so much of it was taken
//                                        <---  Data{job, stream 1 or 2}, bytes: its stdout or stderr; without bytes: its end
//   Room{job, stream, bytes}             --->  so much of it was taken
//   Order{signal, job}                   --->  to its first process
//                                        <---  Report{exited or signaled, job}, the last of that job
//
// Of each stream at most kWindow bytes may be on their way. A Room of no bytes says that its reader is gone. init blocks while the
// channel is full, so the backend reads everything at once.
//
// A job with kJobInPlace makes PID 1 the workload itself:
//                                        <---  Report{started, 1} as the last act before the exec, then the end of file; or
//                                              Report{failed} in its place, or behind it, and exits with 125
// With kJobHeld in addition it waits in between, so that create and start can be two commands:
//                                        <---  Report{held}: its program is there and may be executed, as far as init can see
//   Begin                                --->
// clang-format on
//
// argv of init:
//   "init" FD      one SOCK_SEQPACKET socket for both directions (native). A job is cut into messages of at
//                  most kMaxChunk bytes, because a socket's buffer does not hold a whole one.
//   "init" IN OUT  two pipes (gVisor with --pass-fd; the backend keeps its end of IN open until the end), or the two FIFOs of
//   an
//                  independent sandbox of either backend (named_channel.h), which are never at their end.
//   "init" DIR     DIR/job is waited for, read and removed, DIR/report is written (gVisor builds without --pass-fd). The job
//                  has to appear whole (rename(2)). No orders, no end of file, and the workload can write to the report if it
//                  may write to DIR.
//   ... "joined"   behind any of these: init need not be PID 1, because the pid namespace is another sandbox's. It takes one
//                  job, in place.
//   ... "as=UID"   behind any of these: init becomes that user before anything else. It keeps CAP_KILL, CAP_CHOWN,
//                  CAP_SETUID, CAP_SETGID and CAP_SETPCAP, with which it was started. The job has to name another
//                  user for the workload. The workload gets no capability.
//
// Start init with every signal blocked: what comes before its first instruction is then kept and forwarded,
// too. Each signal that PID 1 receives goes to the workload's first process, except those that the kernel
// makes of a fault (SEGV BUS FPE ILL TRAP SYS), CHLD and PIPE; an order can carry every number, KILL and STOP
// included. On Linux no process inside can stop, kill or trace PID 1 by a signal or ptrace(2). gVisor lets a workload of the
// same user do all three, hence "as=". A process that makes PID 1 its tracer is let go at its first stop.
//
// A filter is installed as the last act before the exec, which it must allow, and exit_group with it. With
// SECCOMP_FILTER_FLAG_NEW_LISTENER in its flags the message with Report{started} carries the listener; nobody in the
// sandbox keeps it. That needs the socket of the first form.
//
// The workload has no descriptor but 0-2, and init gives those up once the workload has them. Integers are in
// host byte order: both ends are one machine.
#pragma once

#include <stdint.h>

namespace bailey::init {

inline constexpr uint32_t kJobMagic = 0x314a5942;     // "BYJ1"
inline constexpr uint32_t kOrderMagic = 0x314f5942;   // "BYO1"
inline constexpr uint32_t kReportMagic = 0x31525942;  // "BYR1"
inline constexpr uint32_t kDataMagic = 0x31445942;    // "BYD1"
inline constexpr uint32_t kRoomMagic = 0x314d5942;    // "BYM1"
inline constexpr uint32_t kBeginMagic = 0x31475942;   // "BYG1"
inline constexpr uint32_t kMaxData = 32u << 10;       // bytes of one Data
inline constexpr uint32_t kWindow = 64u << 10;        // of a stream, on their way
inline constexpr uint32_t kMostTasks = 128;           // jobs with a number, at one time
inline constexpr uint32_t kMaxJobBytes = 4u << 20;    // twice what execve takes by default: a larger stack limit helps
inline constexpr uint32_t kMaxChunk = 64u << 10;
inline constexpr uint32_t kMaxRlimits = 64;
inline constexpr uint32_t kMaxGids = 65536;         // NGROUPS_MAX
inline constexpr uint32_t kMaxInstructions = 4096;  // BPF_MAXINSNS

inline constexpr int kExitFailed = 125;  // no workload was started, the report says why
inline constexpr int kExitAlone = 137;   // the dispatcher went away

struct JobHeader {
  uint32_t magic;
  uint32_t total_bytes;  // of header and everything behind it
  uint32_t argc;         // at least 1
  uint32_t envc;
  uint32_t rlimit_count;
  uint32_t gid_count;
  uint32_t flags;  // JobFlags
  uint32_t uid;
  uint32_t gid;
  uint32_t umask;
  uint32_t filter_count;  // instructions of a seccomp filter that the workload gets and PID 1 does not; 0: none
  uint32_t filter_flags;  // SECCOMP_FILTER_FLAG_*
  uint32_t number;        // 0: the sandbox's own
  uint32_t reserved;
  // Behind it, without gaps: JobPrivileges with kJobPrivileges, JobRlimit[rlimit_count], uint32_t gids[gid_count],
  // JobInstruction[filter_count], then NUL-terminated strings: cwd, argv..., env...
};

enum JobFlags : uint32_t {
  kJobSetUser = 1,       // set gids, gid, uid, then drop every capability (init was started with the right to)
  kJobSetUmask = 2,      // otherwise init's own
  kJobTerminal = 4,      // descriptor 0 becomes the controlling terminal of the workload
  kJobRelay = 8,         // the workload's 1 and 2 are pipes of init's, passed on to init's own 1 and 2 (relay.h)
  kJobMerged = 16,       // with it: one pipe for both, passed on to 1
  kJobInPlace = 32,      // this process becomes the workload; without kJobRelay and without a listener
  kJobHeld = 64,         // with it: not before Begin
  kJobPrivileges = 128,  // with kJobSetUser: the workload has these, where it otherwise has none
};

// Capabilities as bits (capabilities(7)), each set as the workload's program is executed with. Init needs all of them, and
// CAP_SETPCAP where the bounding set leaves any out.
struct JobPrivileges {
  uint64_t bounding, permitted, effective, inheritable, ambient;
  uint32_t no_new_privileges;
  uint32_t reserved;
};

struct JobRlimit {
  uint64_t resource;  // RLIMIT_* number
  uint64_t soft;
  uint64_t hard;
};

struct JobInstruction {  // sock_filter
  uint16_t code;
  uint8_t jump_true, jump_false;
  uint32_t value;
};

struct Order {
  uint32_t magic;
  uint32_t signal;  // 1..64
  uint32_t job;
};

struct Begin {
  uint32_t magic;
  uint32_t reserved;
};

struct Data {
  uint32_t magic;
  uint32_t size;  // of the bytes behind it
  uint32_t job;
  uint32_t stream;  // 0, 1, 2
};

struct Room {
  uint32_t magic;
  uint32_t bytes;
  uint32_t job;
  uint32_t stream;
};

enum class ReportKind : uint32_t { started = 1, failed = 2, exited = 3, signaled = 4, ready = 5, held = 6 };

// The step that failed. `interpreter` is an exec that failed although the file is there: what
// its #! line or ELF header names is missing; `init` the exec of init itself, told by whoever tried it; `protect` becoming the
// user of "as=".
enum class Step : uint32_t {
  none,
  read_job,
  streams,
  fork,
  session,
  terminal,
  rlimit,
  user,
  umask,
  cwd,
  seccomp,
  exec,
  interpreter,
  init,
  protect,
  privileges
};

struct Report {
  uint32_t magic;
  ReportKind kind;
  int32_t value;    // started: pid inside; failed: errno; exited: code; signaled: signal number
  Step step;        // of failed
  uint32_t detail;  // of failed at rlimit: the RLIMIT_* number
  uint32_t job = 0;
  // In microseconds: init's own CPU time so far, with what its process did before it became init (started, exited, signaled).
  uint64_t own_cpu_us = 0;
  // exited, signaled. From `started` to the end of the job's first process; then what all processes that were waited for have
  // used, and the largest resident size of one of them. Of a numbered job that is its first process and what that has waited
  // for; of job 0 everything, because init waits for orphans.
  uint64_t wall_us = 0;
  uint64_t user_us = 0, system_us = 0;
  uint64_t max_rss_bytes = 0;
};

}  // namespace bailey::init
