// PID 1 of a sandbox. See job.h for what it reads and writes.
//
// clang-format off
//   read the first job -> start it -> wait { a child ended | a signal | a frame | bytes of a job | the dispatcher is gone }
//                                  -> the workload (job 0) has ended: kill the rest, report
// clang-format on
//
// It allocates the jobs' memory and little else, and gives that back once they run.
#include <asm/signal.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/seccomp.h>
#include <linux/signalfd.h>
#include <linux/wait.h>

#include "init/inbox.h"
#include "init/job.h"
#include "init/kernel.h"
#include "init/relay.h"
#include "init/tasks.h"
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

constexpr uint64_t kLongestEndUs = 2'000'000;  // for what was killed to be gone
constexpr long kEndPollNs = 200'000'000;

struct Channel {
  int in = -1;                     // job and orders
  int out = -1;                    // reports
  bool lives = false;              // `in` stays open and is watched
  const char* job_file = nullptr;  // of the DIR form, in which `in` is -1 until that file is there
};

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

// Of all that was waited for.
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

// Kills and reaps all others, so that what they used is counted. A process that was brought in from outside has its parent
// there, and is reaped there. One that is not gone after a while is left, because we may not kill it (another user's, without
// CAP_KILL) or it sleeps in the kernel: it ends when PID 1 exits, and what it used is not in the report.
void end_the_rest(int signals) {
  const uint64_t began_us = kernel::monotonic_us();
  for (bool there_are_others = true; there_are_others;) {
    there_are_others = kernel::kill(-1, SIGKILL) == 0;
    int status = 0;
    long pid = 0;
    while ((pid = kernel::wait_any(&status, WNOHANG)) > 0) {}
    if (!there_are_others || pid == -ECHILD || kernel::monotonic_us() - began_us > kLongestEndUs) return;
    pollfd child_ended = {signals, POLLIN, 0};
    signalfd_siginfo info;
    const long ready = kernel::poll(&child_ended, 1, kEndPollNs);
    if (ready > 0) kernel::read(signals, &info, sizeof info);
    else if (ready < 0) kernel::poll(nullptr, 0, kEndPollNs);  // no descriptor may be polled: the limit of them was lowered
  }
}

[[noreturn]] void end_alone(int signals) {
  end_the_rest(signals);
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
constexpr char kJoined[] = "joined";

bool is_text(const char* a, const char* b) {
  for (; *a && *a == *b; ++a, ++b) {}
  return *a == *b;
}

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

// A gVisor that needs the DIR form changes neither owner nor mode of a pipe: the workload can open its streams by name
// (/dev/stdout) only when it was their owner from the beginning. Nothing else of the sandbox runs yet. `user`: init's own, 0 if
// it stayed who it was.
long open_relay(const Channel& channel, OutputRelay& relay, const Job& job, uint32_t user) {
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

// The job's bytes stay where they are meanwhile, so the channel is read past the inbox. Orders have nobody to go to: whoever
// wants this process to get a signal sends it.
void await_begin(const Channel& channel) {
  char bytes[sizeof(Order)];
  for (size_t have = 0;;) {
    const Frame frame = next_frame(bytes, have);
    if (frame.kind == Frame::Kind::begin) return;
    if (frame.kind == Frame::Kind::order) {
      have = 0;
      continue;
    }
    if (frame.kind != Frame::Kind::incomplete) fail(channel, Step::read_job, EBADMSG);
    // Never more than one frame.
    const size_t whole = have < sizeof(Begin) ? sizeof(Begin) : sizeof(Order);
    const long got = kernel::read(channel.in, bytes + have, whole - have);
    if (got == -EINTR) continue;
    if (got <= 0) fail(channel, Step::read_job, got < 0 ? static_cast<int>(-got) : ENODATA);
    have += static_cast<size_t>(got);
  }
}

// Create ends here: what is wrong with the command is told now.
void hold(const Channel& channel, const Job& job) {
  const long entered = kernel::chdir(job.cwd);
  if (entered < 0 && entered != -EACCES) fail(channel, Step::cwd, static_cast<int>(-entered));
  if (const int error = entered == 0 ? look_for_program(job) : 0) fail(channel, Step::exec, error);
  send(channel, {kReportMagic, ReportKind::held, 0, Step::none, 0});
  await_begin(channel);
}

// PID 1 from now on is what the job says. The channel is closed by its exec.
[[noreturn]] void become_the_workload(Channel channel, const Job& job) {
  if (job.header->flags & kJobHeld) hold(channel, job);
  const long out = kernel::duplicate_above(channel.out, 3);
  if (out < 0) fail(channel, Step::streams, static_cast<int>(-out));
  if (channel.lives) kernel::close(channel.in);
  if (!channel.lives || channel.out != channel.in) kernel::close(channel.out);
  channel.out = static_cast<int>(out);
  const Start failed = become_workload(job, announce, &channel);
  fail(channel, failed.failed, failed.error, failed.detail);
}

// If SIGCHLD were ignored, we would not see children exit; any other ignored signal would be inherited by the workload. The
// first process of a kernel of its own ("as=") has inherited none, and a call costs it some 50 us.
void forget_ignored_signals() {
  for (int number = 1; number <= kernel::kSignals; ++number)
    if (number != SIGKILL && number != SIGSTOP) kernel::default_action(number);
}

// PID 1 from its first job on.
class Pid1 {
 public:
  // `user`: init's own, 0 if it stayed who it was. `joined`: it need not be PID 1.
  Pid1(const Channel& channel, int signals, uint32_t user, bool joined)
      : channel_(channel), signals_(signals), user_(user), joined_(joined) {
    tasks_.report_to(channel.out);
  }

  // No child exists yet, so it waits in the read.
  void await_first_job() {
    while (!has_jobs_) {
      const long got = inbox_.read(channel_.in);
      if (got == -EINTR) continue;
      if (got < 0) fail(channel_, Step::read_job, static_cast<int>(-got));
      if (got == 0) fail(channel_, Step::read_job, ENODATA);
      if (!follow_frames()) fail(channel_, Step::read_job, EBADMSG);
    }
  }

  [[noreturn]] void watch() {
    static pollfd entries[kFixedSlots + Tasks::kPollSlots];
    entries[0] = {signals_, POLLIN, 0};
    entries[1] = {channel_.lives ? channel_.in : -1, POLLIN, 0};
    for (bool child_may_have_ended = true;;) {
      if (child_may_have_ended) reap();
      entries[0].revents = entries[1].revents = 0;
      relay_.add_interest(entries + 2);
      const unsigned of_tasks = tasks_.add_interest(entries + kFixedSlots);
      const long ready = kernel::poll(entries, kFixedSlots + of_tasks, relay_.rest_ns());
      if (ready < 0 && ready != -EINTR)
        end_alone(signals_);  // no memory, or the limit of descriptors was lowered: to go on would spin
      if (ready >= 0) relay_.serve(entries + 2), tasks_.serve(entries + kFixedSlots);
      child_may_have_ended = ready < 0 || entries[0].revents;
      if (entries[0].revents) forward_signals();
      if (entries[1].revents & POLLIN) read_frames();
      else if (entries[1].revents) end_alone(signals_);
    }
  }

 private:
  static constexpr unsigned kFixedSlots = 2 + OutputRelay::kPollSlots;

  // False: what has come is nothing that a backend sends.
  bool follow_frames() {
    for (;;) {
      const Frame frame = inbox_.front();
      switch (frame.kind) {
        case Frame::Kind::incomplete: return true;
        case Frame::Kind::malformed: return false;
        case Frame::Kind::order: order(frame); break;
        case Frame::Kind::begin: return false;  // no job is held
        case Frame::Kind::data: tasks_.take(frame, inbox_.bytes()); break;
        case Frame::Kind::room: tasks_.make_room(frame); break;
        case Frame::Kind::job:
          if (!begin_job(frame)) return false;
      }
      inbox_.drop(frame);
    }
  }

  void order(const Frame& frame) {
    if (frame.job != 0) tasks_.signal(frame.job, static_cast<int>(frame.value));
    else if (workload_ > 0) kernel::kill(workload_, static_cast<int>(frame.value));
    else early_ |= signal_bit(frame.value);
  }

  bool begin_job(const Frame& frame) {
    const ReceivedJob received(inbox_.bytes(), frame.size);
    const uint32_t number = reinterpret_cast<const JobHeader*>(inbox_.bytes())->number;
    has_jobs_ = true;
    if (number != 0) {
      if (!channel_.lives || joined_) return false;
      if (received.error()) tasks_.refuse(number, Step::read_job, received.error());
      else if (received.job().header->filter_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
        tasks_.refuse(number, Step::seccomp, EINVAL);
      else tasks_.start(received.job(), number);
      return true;
    }
    if (workload_ > 0) return false;
    if (received.error()) fail(channel_, Step::read_job, received.error());
    if (joined_ && !(received.job().header->flags & kJobInPlace)) return false;  // it could end nobody else
    begin_workload(received.job());
    return true;
  }

  void begin_workload(const Job& job) {
    if (channel_.job_file) kernel::unlink(channel_.job_file);  // a read-only DIR keeps it, which is the caller's choice
    if (!channel_.lives) kernel::close(channel_.in);
    if (job.header->flags & kJobInPlace) become_the_workload(channel_, job);
    if (job.header->flags & kJobRelay)
      if (const long opened = open_relay(channel_, relay_, job, user_); opened < 0)
        fail(channel_, Step::streams, static_cast<int>(-opened));
    const Start start = start_workload(job);
    began_us_ = kernel::monotonic_us();
    if (start.failed != Step::none) fail(channel_, start.failed, start.error, start.detail);
    workload_ = start.pid;
    const Report message = describe_start(start);
    if (start.listener >= 0) {
      while (kernel::send_descriptor(channel_.out, &message, sizeof message, start.listener) == -EINTR) {}
      kernel::close(start.listener);
    } else {
      send(channel_, message);
    }
    kernel::close_range(0, 2);  // the ends of the workload's pipes are the workload's alone
    for (unsigned number = 1; number <= kernel::kSignals; ++number)
      if (early_ & signal_bit(number)) kernel::kill(workload_, static_cast<int>(number));
  }

  void read_frames() {
    const long got = inbox_.read(channel_.in);
    if (got == -EINTR || got == -EAGAIN) return;
    if (got <= 0 || !follow_frames()) end_alone(signals_);
  }

  void reap() {
    int status = 0;
    kernel::Usage used;
    for (long pid; (pid = kernel::wait_any(&status, WNOHANG, &used)) > 0;) {
      if (kernel::is_stop(status)) kernel::let_go(static_cast<int>(pid), status);
      else if (pid == workload_) finish(status);
      else tasks_.ended(pid, status, used);
    }
  }

  // The workload has ended: nothing of the sandbox outlives it. A job that had ended before it is told of as it ended, in
  // whatever order wait(2) names them.
  [[noreturn]] void finish(int status) {
    const uint64_t wall_us = kernel::monotonic_us() - began_us_;
    tasks_.reap();
    end_the_rest(signals_);
    const Report end = describe_end(status, wall_us);
    relay_.drain(channel_.lives ? channel_.in : -1);
    send(channel_, end);
    kernel::exit(end.kind == ReportKind::signaled ? 128 + end.value : end.value);
  }

  void forward_signals() {
    signalfd_siginfo infos[8];
    const long got = kernel::read(signals_, infos, sizeof infos);  // once: a flood of them must not keep us here
    for (long i = 0; i < got / static_cast<long>(sizeof infos[0]); ++i) {
      const unsigned number = infos[i].ssi_signo;
      if (number == SIGCHLD) continue;
      if (workload_ > 0) kernel::kill(workload_, static_cast<int>(number));
      else early_ |= signal_bit(number);
    }
  }

  const Channel channel_;
  const int signals_;
  const uint32_t user_;
  const bool joined_;
  Inbox inbox_;
  OutputRelay relay_;
  Tasks tasks_;
  bool has_jobs_ = false;
  int workload_ = -1;      // the first process of job 0
  uint64_t began_us_ = 0;  // when it began
  SignalSet early_ = 0;    // signals and orders that came before it could take them
};

[[noreturn]] void run(long argc, const char* const* argv) {
  kernel::block_signals(~SignalSet{0});
  const uint32_t user = protecting_user(argc, argv);
  if (user) --argc;
  const bool joined = argc > 2 && is_text(argv[argc - 1], kJoined);
  if (joined) --argc;
  if (user && argc == 2) own_devices(user);
  const long became = user ? kernel::become(user) : 0;
  Channel channel;
  if ((kernel::getpid() != 1 && !joined) || !open_channel(argc, argv, channel)) {
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

  Pid1 self(channel, static_cast<int>(signals), user, joined);
  self.await_first_job();
  self.watch();
}

}  // namespace
}  // namespace bailey::init

extern "C" [[noreturn]] void bailey_init_main(const long* stack) {
  bailey::init::run(stack[0], reinterpret_cast<const char* const*>(stack + 1));
}
