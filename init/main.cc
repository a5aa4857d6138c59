// PID 1 of a sandbox. See job.h for what it reads and writes.
//
// clang-format off
//   read the job -> start the workload -> wait { a child ended | a signal | an order | the dispatcher is gone } -> kill the rest
// clang-format on
//
// It allocates the job's memory and nothing else, and gives it back once the workload runs.
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/signalfd.h>
#include <linux/wait.h>

#include "init/job.h"
#include "init/job_reader.h"
#include "init/kernel.h"
#include "init/relay.h"
#include "init/workload.h"

namespace bailey::init {

namespace {

using kernel::signal_bit;
using kernel::SignalSet;

// What a fault of ours or a write to a closed pipe raises is not for the workload; KILL and STOP cannot be
// caught.
constexpr SignalSet kNotForwarded = signal_bit(SIGKILL) | signal_bit(SIGSTOP) | signal_bit(SIGPIPE) | signal_bit(SIGSEGV) |
                                    signal_bit(SIGBUS) | signal_bit(SIGFPE) | signal_bit(SIGILL) | signal_bit(SIGTRAP) |
                                    signal_bit(SIGSYS);

struct Channel {
  int in = -1;                     // job and orders
  int out = -1;                    // reports
  bool lives = false;              // `in` stays open and is watched
  const char* job_file = nullptr;  // of the DIR form, in which `in` is -1 until that file is there
};

// The job's memory: the bytes as they come, and the pointers into them.
struct Inbox {
  char* bytes = nullptr;
  size_t held = 0;
  const char** pointers = nullptr;
  size_t pointer_bytes = 0;
  SignalSet early = 0;  // orders that came before the workload could take them
};
constexpr size_t kInboxBytes = kMaxJobBytes + kMaxChunk;

void send(const Channel& channel, const Report& message) {
  while (kernel::write(channel.out, &message, sizeof message) == -EINTR) {}
}

[[noreturn]] void fail(const Channel& channel, Step step, int error, uint32_t detail = 0) {
  send(channel, {kReportMagic, ReportKind::failed, error, step, detail});
  kernel::exit(kExitFailed);
}

uint64_t own_cpu_us() {
  const kernel::Usage own = kernel::usage(kernel::Whose::own);
  return own.user_us + own.system_us;
}

Report describe_start(const Start& start) {
  Report message{kReportMagic, ReportKind::started, start.pid, Step::none, 0};
  message.own_cpu_us = own_cpu_us();
  return message;
}

// Everything that it had is waited for.
Report describe_end(int status, uint64_t wall_us) {
  const int signal = status & 0x7f;
  Report message{kReportMagic, ReportKind::exited, (status >> 8) & 0xff, Step::none, 0};
  if (signal) message.kind = ReportKind::signaled, message.value = signal;
  const kernel::Usage children = kernel::usage(kernel::Whose::children);
  message.own_cpu_us = own_cpu_us();
  message.wall_us = wall_us;
  message.user_us = children.user_us;
  message.system_us = children.system_us;
  message.max_rss_bytes = children.max_rss_bytes;
  return message;
}

// Kills and reaps all others. A process that was brought in from outside has its parent there, and is reaped
// there.
void end_the_rest() {
  int status = 0;
  while (kernel::kill(-1, SIGKILL) == 0) {
    long pid = kernel::wait_any(&status, 0);
    if (pid == -ECHILD) return;
    while (pid > 0) pid = kernel::wait_any(&status, WNOHANG);
  }
  while (kernel::wait_any(&status, WNOHANG) > 0) {}
}

[[noreturn]] void end_alone() {
  end_the_rest();
  kernel::exit(kExitAlone);
}

int parse_number(const char* text) {
  int value = 0;
  if (!*text) return -1;
  for (; *text; ++text) {
    if (*text < '0' || *text > '9' || value > 1'000'000) return -1;
    value = value * 10 + (*text - '0');
  }
  return value;
}

// "DIR/name" into `to`; false when it does not fit.
bool join(char* to, size_t capacity, const char* directory, const char* name) {
  size_t at = 0;
  for (; *directory; ++directory, ++at) {
    if (at + 16 > capacity) return false;
    to[at] = *directory;
  }
  for (to[at++] = '/'; *name; ++name, ++at) to[at] = *name;
  to[at] = 0;
  return true;
}

constexpr char kAsPrefix[] = "as=";

// The user of "as=UID", the last argument; 0: there is none.
uint32_t protecting_user(long argc, const char* const* argv) {
  if (argc < 3) return 0;
  const char* last = argv[argc - 1];
  for (const char* c = kAsPrefix; *c; ++c, ++last)
    if (*last != *c) return 0;
  const int uid = parse_number(last);
  return uid > 0 ? static_cast<uint32_t>(uid) : 0;
}

// The runtime's /dev is memory without a limit of its own, where it cannot be read-only (a gVisor that needs the DIR form):
// nobody but this user may make files there.
void own_devices(uint32_t user) {
  kernel::chown("/dev", user, user);
  kernel::chown("/dev/net", user, user);
}

bool open_channel(long argc, const char* const* argv, Channel& channel) {
  static char job_path[4096], report_path[4096];
  if (argc == 2 && parse_number(argv[1]) >= 0) {
    channel = {parse_number(argv[1]), parse_number(argv[1]), true, nullptr};
  } else if (argc == 3) {
    channel = {parse_number(argv[1]), parse_number(argv[2]), true, nullptr};
  } else if (argc == 2 && join(job_path, sizeof job_path, argv[1], "job") &&
             join(report_path, sizeof report_path, argv[1], "report")) {
    channel.out = static_cast<int>(kernel::open(report_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    channel.job_file = job_path;
  }
  return channel.out > 2 && (channel.in > 2 || channel.job_file);
}

// Descriptors that the launcher leaked are closed before anything else is done with the sandbox.
void close_all_but(int a, int b) {
  const unsigned low = static_cast<unsigned>(a < b ? a : b), high = static_cast<unsigned>(a < b ? b : a);
  kernel::close_range(3, low - 1);
  if (low != high) kernel::close_range(low + 1, high - 1);
  kernel::close_range(high + 1, ~0u);
}

// A gVisor that needs the DIR form tells nobody that the host has made a file: it is looked for, more and more rarely.
int await_file(const Channel& channel) {
  constexpr long kFirstRestNs = 1'000'000, kLongestRestNs = 32'000'000;
  for (long rest = kFirstRestNs;; rest = rest < kLongestRestNs ? 2 * rest : rest) {
    const long opened = kernel::open(channel.job_file, O_RDONLY | O_CLOEXEC, 0);
    if (opened >= 0) return static_cast<int>(opened);
    if (opened != -ENOENT) fail(channel, Step::read_job, static_cast<int>(-opened));
    kernel::poll(nullptr, 0, rest);
  }
}

// Takes the orders at the front of the inbox and answers what follows them.
Frame keep_orders(Inbox& inbox, size_t at) {
  Frame frame;
  const size_t begin = at;
  while ((frame = next_frame(inbox.bytes + at, inbox.held - at)) == Frame::order) {
    inbox.early |= signal_bit(signal_of_order(inbox.bytes + at));
    at += sizeof(Order);
  }
  inbox.held -= at - begin;
  for (size_t i = begin; at > begin && i < inbox.held; ++i) inbox.bytes[i] = inbox.bytes[i + at - begin];
  return frame;
}

// Returns when the whole job is there, with its size.
size_t receive_job(const Channel& channel, Inbox& inbox) {
  inbox.bytes = static_cast<char*>(kernel::map(kInboxBytes));
  if (!inbox.bytes) fail(channel, Step::read_job, ENOMEM);
  for (;;) {
    const long got = kernel::read(channel.in, inbox.bytes + inbox.held, kInboxBytes - inbox.held);
    if (got == -EINTR) continue;
    if (got < 0) fail(channel, Step::read_job, static_cast<int>(-got));
    if (got == 0) fail(channel, Step::read_job, ENODATA);
    inbox.held += static_cast<size_t>(got);
    const Frame frame = keep_orders(inbox, 0);
    if (frame == Frame::malformed) fail(channel, Step::read_job, EBADMSG);
    if (frame == Frame::job && inbox.held >= size_of_job(inbox.bytes)) break;
  }
  const size_t size = size_of_job(inbox.bytes);
  if (keep_orders(inbox, size) != Frame::incomplete || inbox.held != size) fail(channel, Step::read_job, EBADMSG);
  return size;
}

Job open_job(const Channel& channel, Inbox& inbox) {
  const size_t size = receive_job(channel, inbox);
  if (channel.job_file) kernel::unlink(channel.job_file);  // a read-only DIR keeps it, which is the caller's choice
  const size_t pointers = pointers_of_job(inbox.bytes, size);
  if (pointers == 0) fail(channel, Step::read_job, EBADMSG);
  inbox.pointer_bytes = pointers * sizeof(char*);
  inbox.pointers = static_cast<const char**>(kernel::map(inbox.pointer_bytes));
  if (!inbox.pointers) fail(channel, Step::read_job, ENOMEM);
  Job job;
  if (!read_job(inbox.bytes, size, inbox.pointers, job)) fail(channel, Step::read_job, EBADMSG);
  return job;
}

struct Workload {
  int pid;
  uint64_t began_us;
};

// The workload has ended: nothing of the sandbox outlives it.
[[noreturn]] void finish(const Channel& channel, Relay& relay, const Workload& workload, int status) {
  const uint64_t wall_us = kernel::monotonic_us() - workload.began_us;
  end_the_rest();
  const Report end = describe_end(status, wall_us);
  relay.drain(channel.lives ? channel.in : -1);
  send(channel, end);
  kernel::exit(end.kind == ReportKind::signaled ? 128 + end.value : end.value);
}

// A stop is told only of a process that has made us its tracer (PTRACE_TRACEME): that is no end.
bool is_stop(int status) { return (status & 0xff) == 0x7f; }

void reap(const Channel& channel, Relay& relay, const Workload& workload) {
  int status = 0;
  for (long pid; (pid = kernel::wait_any(&status, WNOHANG)) > 0;) {
    if (is_stop(status)) kernel::let_go(static_cast<int>(pid), status);
    else if (pid == workload.pid) finish(channel, relay, workload, status);
  }
}

void forward_signals(int signals, int workload) {
  signalfd_siginfo infos[8];
  for (long got; (got = kernel::read(signals, infos, sizeof infos)) > 0;)
    for (size_t i = 0; i < static_cast<size_t>(got) / sizeof infos[0]; ++i)
      if (infos[i].ssi_signo != SIGCHLD) kernel::kill(workload, static_cast<int>(infos[i].ssi_signo));
}

void follow_orders(const Channel& channel, int workload) {
  char bytes[64 * sizeof(Order)];
  const long got = kernel::read(channel.in, bytes, sizeof bytes);
  if (got == -EINTR || got == -EAGAIN) return;
  if (got <= 0) end_alone();
  for (size_t at = 0, size = static_cast<size_t>(got); at < size; at += sizeof(Order)) {
    if (next_frame(bytes + at, size - at) != Frame::order) end_alone();
    kernel::kill(workload, static_cast<int>(signal_of_order(bytes + at)));
  }
}

[[noreturn]] void watch(const Channel& channel, Relay& relay, int signals, const Workload& workload) {
  pollfd entries[2 + Relay::kPollSlots] = {{signals, POLLIN, 0}, {channel.lives ? channel.in : -1, POLLIN, 0}};
  for (bool child_may_have_ended = true;;) {
    if (child_may_have_ended) reap(channel, relay, workload);
    entries[0].revents = entries[1].revents = 0;
    relay.add_interest(entries + 2);
    const long ready = kernel::poll(entries, 2 + Relay::kPollSlots, relay.rest_ns());
    if (ready < 0 && ready != -EINTR) end_alone();  // cannot happen; waiting blindly would spin
    if (ready >= 0) relay.serve(entries + 2);
    child_may_have_ended = ready < 0 || entries[0].revents;
    if (entries[0].revents) forward_signals(signals, workload.pid);
    if (entries[1].revents & POLLIN) follow_orders(channel, workload.pid);
    else if (entries[1].revents) end_alone();
  }
}

// A gVisor that needs the DIR form changes neither owner nor mode of a pipe: the workload can open its streams by name
// (/dev/stdout) only when it was their owner from the beginning. Nothing else of the sandbox runs yet. `user`: init's own, 0 if
// it stayed who it was.
long open_relay(const Channel& channel, Relay& relay, const Job& job, uint32_t user) {
  const bool merged = job.header->flags & kJobMerged;
  if (channel.lives || !user || !(job.header->flags & kJobSetUser)) return relay.open(merged);
  long done = kernel::act_as(job.header->uid, job.header->gid);
  if (done == 0) done = relay.open(merged);
  const long back = kernel::become(user);
  return done < 0 ? done : back;
}

void announce(void* channel) {
  send(*static_cast<const Channel*>(channel), {kReportMagic, ReportKind::started, 1, Step::none, 0});
}

// PID 1 from now on is what the job says. The channel is closed by its exec.
[[noreturn]] void become_the_workload(Channel channel, const Job& job) {
  const long out = kernel::duplicate_above(channel.out, 3);
  if (out < 0) fail(channel, Step::streams, static_cast<int>(-out));
  if (channel.lives) kernel::close(channel.in);
  if (!channel.lives || channel.out != channel.in) kernel::close(channel.out);
  channel.out = static_cast<int>(out);
  const Start failed = become_workload(job, announce, &channel);
  fail(channel, failed.failed, failed.error, failed.detail);
}

// An ignored SIGCHLD would keep ends from us, any other ignored signal would be inherited by the workload. The first process of
// a kernel of its own ("as=") has inherited none, and a call costs it some 50 us.
void forget_ignored_signals() {
  for (int number = 1; number <= kernel::kSignals; ++number)
    if (number != SIGKILL && number != SIGSTOP) kernel::default_action(number);
}

[[noreturn]] void run(long argc, const char* const* argv) {
  kernel::block_signals(~SignalSet{0});
  const uint32_t user = protecting_user(argc, argv);
  if (user) --argc;
  if (user && argc == 2) own_devices(user);
  const long became = user ? kernel::become(user) : 0;
  Channel channel;
  if (kernel::getpid() != 1 || !open_channel(argc, argv, channel)) {
    static constexpr char kUsage[] = "bailey-init: only runs as PID 1 of a sandbox, with a job\n";
    kernel::write(2, kUsage, sizeof kUsage - 1);
    kernel::exit(kExitFailed);
  }
  close_all_but(channel.in < 0 ? channel.out : channel.in, channel.out);
  if (became < 0) fail(channel, Step::protect, static_cast<int>(-became));
  kernel::hide_self();
  if (!user) forget_ignored_signals();
  const long signals = kernel::open_signals(~kNotForwarded);
  if (signals < 0) fail(channel, Step::read_job, static_cast<int>(-signals));

  send(channel, {kReportMagic, ReportKind::ready, 0, Step::none, 0});
  if (channel.job_file) channel.in = await_file(channel);

  Inbox inbox;
  const Job job = open_job(channel, inbox);
  if (!channel.lives) kernel::close(channel.in);
  if (job.header->flags & kJobInPlace) become_the_workload(channel, job);
  Relay relay;
  if (job.header->flags & kJobRelay)
    if (const long opened = open_relay(channel, relay, job, user); opened < 0)
      fail(channel, Step::streams, static_cast<int>(-opened));
  const Start start = start_workload(job);
  const Workload workload{start.pid, kernel::monotonic_us()};
  kernel::unmap(inbox.pointers, inbox.pointer_bytes);
  kernel::unmap(inbox.bytes, kInboxBytes);
  if (start.failed != Step::none) fail(channel, start.failed, start.error, start.detail);
  const Report message = describe_start(start);
  if (start.listener >= 0) {
    while (kernel::send_descriptor(channel.out, &message, sizeof message, start.listener) == -EINTR) {}
    kernel::close(start.listener);
  } else {
    send(channel, message);
  }
  kernel::close_range(0, 2);  // the ends of the workload's pipes are the workload's alone
  for (unsigned number = 1; number <= kernel::kSignals; ++number)
    if (inbox.early & signal_bit(number)) kernel::kill(start.pid, static_cast<int>(number));
  watch(channel, relay, static_cast<int>(signals), workload);
}

}  // namespace
}  // namespace bailey::init

extern "C" [[noreturn]] void bailey_init_main(const long* stack) {
  bailey::init::run(stack[0], reinterpret_cast<const char* const*>(stack + 1));
}
