#include "cli/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>
#include <optional>
#include <utility>

#include "base/child.h"
#include "base/fd.h"
#include "base/files.h"
#include "base/pidfd.h"
#include "cli/command_line.h"
#include "dispatcher/signal_inbox.h"

namespace bailey::cli {

namespace {

using dispatcher::Outcome;
using dispatcher::Progress;

constexpr int64_t kOverdueMs = 1'000;        // the worker keeps its deadlines by itself: one that is later is stuck
constexpr int64_t kStopMs = kEndMs + 1'000;  // asked to stop, it ends the sandbox, which may take kEndMs
constexpr int64_t kTellMs = 3'000;
constexpr int kLookMs = 1'000;  // the worker may move its due time at any moment

// Of whole machines' and kernels' own: nobody else is asked.
constexpr std::string_view kLocal[] = {"bcachefs", "bpf",    "btrfs",      "cgroup",    "cgroup2",   "configfs",   "cramfs",
                                       "debugfs",  "devpts", "devtmpfs",   "efivarfs",  "erofs",     "exfat",      "ext2",
                                       "ext3",     "ext4",   "f2fs",       "fusectl",   "hugetlbfs", "iso9660",    "jfs",
                                       "mqueue",   "msdos",  "nsfs",       "ntfs3",     "overlay",   "proc",       "pstore",
                                       "ramfs",    "rootfs", "securityfs", "selinuxfs", "squashfs",  "sysfs",      "tmpfs",
                                       "tracefs",  "udf",    "vfat",       "xfs",       "zfs",       "binfmt_misc"};

// Memory that a fork shares.
class SharedProgress {
 public:
  static Result<SharedProgress> create() {
    void* memory = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return sys_error("mapping shared memory", errno);
    return SharedProgress(new (memory) Progress);
  }
  SharedProgress(SharedProgress&& other) noexcept : progress_(std::exchange(other.progress_, nullptr)) {}
  ~SharedProgress() {
    if (progress_) ::munmap(progress_, sizeof(Progress));
  }
  Progress* get() const { return progress_; }

 private:
  explicit SharedProgress(Progress* progress) : progress_(progress) {}
  Progress* progress_;
};

// A child that runs `work` and dies with us.
struct Child {
  pid_t pid = -1;
  Fd pidfd;
};
Result<Child> fork_for(const std::function<int()>& work) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error("fork", errno);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (::getppid() != parent) ::_exit(kExitBailey);
    ::_exit(work());
  }
  Child child{pid, Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
  if (child.pidfd) return child;
  const int err = errno;
  ::kill(pid, SIGKILL);
  return sys_error("opening a pidfd", err);
}

// The settings of the caller's terminal, which a worker that was killed leaves raw. What is no device is not asked: that would
// be a request to its file system.
class TerminalSettings {
 public:
  TerminalSettings() {
    const auto name = files::readlink("/proc/self/fd/0");
    there_ = name && name->starts_with("/dev/") && ::tcgetattr(0, &settings_) == 0;
  }
  void restore() const {
    if (there_) ::tcsetattr(0, TCSANOW, &settings_);
  }

 private:
  termios settings_{};
  bool there_ = false;
};

// Passes signals on and waits until the worker has ended or should have.
class WorkerWatch {
 public:
  WorkerWatch(const Child& worker, const Progress& progress, const dispatcher::SignalInbox& inbox, int signals)
      : worker_(worker), progress_(progress), inbox_(inbox), signals_(signals) {}

  // Nothing: it has ended.
  std::optional<Stuck> wait() {
    for (;;) {
      pollfd set[] = {{worker_.pidfd.get(), POLLIN, 0}, {inbox_.fd(), POLLIN, 0}};
      (void)::poll(set, std::size(set), kLookMs);
      if (set[0].revents != 0) return std::nullopt;
      if (set[1].revents != 0) pass_signals_on();
      if (asked_to_stop_.passed()) return stuck(Outcome::signaled);
      if (overdue()) return stuck(Outcome::timed_out);
    }
  }

 private:
  bool overdue() const {
    const int64_t due = progress_.due_ns();
    return due != INT64_MAX && clock::monotonic_ns() > due + kOverdueMs * 1'000'000;
  }
  void pass_signals_on() {
    while (const int number = inbox_.next()) {
      const char byte = static_cast<char>(number);
      (void)!::write(signals_, &byte, 1);
      const bool before = !progress_.has_started();
      if (before ? !dispatcher::ends_the_making(number) : number != SIGTERM && number != SIGINT) continue;
      number_ = number;
      // Before the start the first one ends the run, later the second one.
      if ((before || ++requests_ > 1) && asked_to_stop_.never()) asked_to_stop_ = clock::Deadline::in_ms(kStopMs);
    }
  }
  Stuck stuck(Outcome outcome) const {
    return {outcome, outcome == Outcome::signaled ? number_ : 0, false, progress_.id(), progress_.step(), progress_.wall_ms()};
  }

  const Child& worker_;
  const Progress& progress_;
  const dispatcher::SignalInbox& inbox_;
  int signals_, number_ = 0, requests_ = 0;
  clock::Deadline asked_to_stop_;
};

// The first process of a killed worker's sandbox. Its number is still its own: it is the worker's child or, when that has
// ended, ours, and waits to be reaped.
bool end_sandbox(const Progress& progress) {
  if (progress.first_pid() == 0) return true;
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, progress.first_pid(), 0)));
  return !pidfd || kill_and_await_end(pidfd.get());
}

}  // namespace

bool responds_by_itself(std::string_view type) { return std::ranges::find(kLocal, type) != std::end(kLocal); }

bool may_hang(const std::vector<dispatcher::MountEntry>& mounts) {
  // systemd has an autofs on a directory of /proc: no run looks there.
  return std::ranges::any_of(mounts, [](const dispatcher::MountEntry& mount) {
    return !responds_by_itself(mount.type) && !mount.point.starts_with("/proc/");
  });
}

Result<int> watch(const std::function<int(const Watcher&)>& work, const std::function<int(const Stuck&)>& tell) {
  const SharedProgress progress = TRY(SharedProgress::create());
  const TerminalSettings terminal;
  Pipe signals = TRY(create_pipe());
  // To the end of the process: a signal that comes late does not change how it ends.
  static std::optional<dispatcher::SignalInbox> inbox;
  inbox = TRY(dispatcher::SignalInbox::open());
  const Child worker = TRY(fork_for([&] {
    signals.write.reset();
    return work({signals.read.get(), progress.get()});
  }));
  signals.read.reset();
  ::fcntl(signals.write.get(), F_SETFL, O_NONBLOCK);  // a stuck worker takes none

  std::optional<Stuck> stuck = WorkerWatch(worker, *progress.get(), *inbox, signals.write.get()).wait();
  if (!stuck) {
    const int status = TRY(await_child(worker.pid));
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    stuck = Stuck{Outcome::setup_failed, WTERMSIG(status), true, progress.get()->id(), progress.get()->step(), {}};
  } else {
    const bool worker_ended = kill_and_await_end(worker.pidfd.get());
    stuck->ended = end_sandbox(*progress.get()) && worker_ended;
    if (const auto code = progress.get()->exit_code()) return *code;  // all was told; what hung is its end
  }
  terminal.restore();
  const Child teller = TRY(fork_for([&] { return tell(*stuck); }));
  if (await_end(teller.pidfd.get(), clock::Deadline::in_ms(kTellMs)))
    if (const auto status = await_child(teller.pid); status && WIFEXITED(*status)) return WEXITSTATUS(*status);
  dispatcher::Record untold;
  untold.outcome = stuck->outcome;
  untold.signal = stuck->signal;
  return exit_code(untold);
}

}  // namespace bailey::cli
