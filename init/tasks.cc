#include "init/tasks.h"

#include <asm/ioctls.h>
#include <linux/errno.h>
#include <linux/poll.h>

#include "init/workload.h"

namespace bailey::init {

namespace {

// Above 2: those numbers are free in PID 1 while job 0 runs, and a new process puts its streams there.
long pipe_above_streams(int ends[2]) {
  if (const long made = kernel::pipe(ends); made < 0) return made;
  long failed = 0;
  for (int i = 0; i < 2; ++i) {
    if (ends[i] > 2) continue;
    const long raised = kernel::duplicate_above(ends[i], 3);
    kernel::close(ends[i]);
    ends[i] = static_cast<int>(raised);
    if (raised < 0) failed = raised;
  }
  if (failed == 0) return 0;
  for (int i = 0; i < 2; ++i)
    if (ends[i] >= 0) kernel::close(ends[i]);
  return failed;
}

// Both ends of the three pipes of a job.
struct Pipes {
  int ours[3] = {-1, -1, -1}, theirs[3] = {-1, -1, -1};
  long open();
  void close_theirs();
  void close_ours();
};

long Pipes::open() {
  for (int i = 0; i < 3; ++i) {
    int ends[2];
    if (const long made = pipe_above_streams(ends); made < 0) return made;
    ours[i] = ends[i == 0 ? 1 : 0];
    theirs[i] = ends[i == 0 ? 0 : 1];
    if (const long set = kernel::set_nonblocking(ours[i]); set < 0) return set;
  }
  return 0;
}

void Pipes::close_theirs() {
  for (const int fd : theirs)
    if (fd >= 0) kernel::close(fd);
}

void Pipes::close_ours() {
  for (const int fd : ours)
    if (fd >= 0) kernel::close(fd);
}

}  // namespace

void Tasks::send(const void* frame, size_t size) const {
  const char* rest = static_cast<const char*>(frame);
  for (size_t left = size; left > 0;) {
    const long sent = kernel::write(channel_, rest, left);
    if (sent == -EINTR) continue;
    if (sent <= 0) return;  // EPIPE: the backend is gone, which the other direction shows
    rest += sent;
    left -= static_cast<size_t>(sent);
  }
}

void Tasks::refuse(uint32_t number, Step step, int error) const {
  const Report report{kReportMagic, ReportKind::failed, error, step, 0, number};
  send(&report, sizeof report);
}

Tasks::Task* Tasks::find(uint32_t number) {
  for (unsigned i = 0; number != 0 && i < used_; ++i)
    if (tasks_[i].number == number) return &tasks_[i];
  return nullptr;
}

void Tasks::start(const Job& job, uint32_t number) {
  if (!tasks_) tasks_ = static_cast<Task*>(kernel::map(sizeof(Task) * kMostTasks));
  if (!tasks_) return refuse(number, Step::fork, ENOMEM);
  unsigned place = 0;
  while (place < used_ && tasks_[place].number != 0) ++place;
  if (place == kMostTasks || find(number)) return refuse(number, Step::fork, place == kMostTasks ? EAGAIN : EEXIST);
  Pipes pipes;
  if (const long opened = pipes.open(); opened < 0) {
    pipes.close_theirs();
    pipes.close_ours();
    return refuse(number, Step::streams, static_cast<int>(-opened));
  }
  const Start start = start_workload(job, pipes.theirs);
  pipes.close_theirs();
  if (start.failed != Step::none) {
    pipes.close_ours();
    const Report report{kReportMagic, ReportKind::failed, start.error, start.failed, start.detail, number};
    return send(&report, sizeof report);
  }
  if (place == used_) ++used_;
  Task& task = tasks_[place];
  task = Task{};
  task.number = number;
  task.pid = start.pid;
  task.began_us = kernel::monotonic_us();
  for (int i = 0; i < 3; ++i) task.streams[i] = {pipes.ours[i], kWindow, kMaxAtOnce};
  const Report report{kReportMagic, ReportKind::started, start.pid, Step::none, 0, number};
  send(&report, sizeof report);
}

void Tasks::signal(uint32_t number, int signal) {
  const Task* task = find(number);
  if (task && task->pid > 0) kernel::kill(static_cast<int>(task->pid), signal);
}

void Tasks::close(Task& task, unsigned stream) {
  if (task.streams[stream].fd < 0) return;
  kernel::close(task.streams[stream].fd);
  task.streams[stream].fd = -1;
  if (stream == 0) {
    if (task.waiting) kernel::unmap(task.waiting, kWindow);
    task.waiting = nullptr;
    const Room nobody{kRoomMagic, 0, task.number, 0};
    send(&nobody, sizeof nobody);
  } else {
    const Data end{kDataMagic, 0, task.number, stream};
    send(&end, sizeof end);
  }
}

// More than kWindow can only come from a backend that does not keep to the protocol: the rest is dropped.
void Tasks::take(const Frame& data, const char* bytes) {
  Task* task = data.stream == 0 ? find(data.job) : nullptr;
  if (!task || task->streams[0].fd < 0) return;
  if (data.value == 0) {
    task->streams[0].room = 0;  // closed when all of it is in the pipe
  } else {
    if (!task->waiting) task->waiting = static_cast<char*>(kernel::map(kWindow));
    if (!task->waiting) return close(*task, 0);
    for (uint32_t i = 0; task->waiting_at != 0 && i < task->waiting_bytes; ++i)
      task->waiting[i] = task->waiting[task->waiting_at + i];
    task->waiting_at = 0;
    for (uint32_t i = 0; i < data.value && task->waiting_bytes < kWindow; ++i)
      task->waiting[task->waiting_bytes++] = bytes[sizeof(Data) + i];
  }
  feed(*task);
}

void Tasks::feed(Task& task) {
  uint32_t fed = 0;
  while (task.waiting_bytes > 0) {
    const long put = kernel::write(task.streams[0].fd, task.waiting + task.waiting_at, task.waiting_bytes);
    if (put == -EINTR) continue;
    if (put == -EAGAIN) break;
    if (put <= 0) return close(task, 0);
    task.waiting_at += static_cast<uint32_t>(put);
    task.waiting_bytes -= static_cast<uint32_t>(put);
    fed += static_cast<uint32_t>(put);
  }
  if (fed > 0) {
    const Room taken{kRoomMagic, fed, task.number, 0};
    send(&taken, sizeof taken);
  }
  const bool at_its_end = task.streams[0].room == 0;
  if (task.waiting_bytes == 0 && at_its_end) close(task, 0);
}

void Tasks::make_room(const Frame& room) {
  Task* task = room.stream == 1 || room.stream == 2 ? find(room.job) : nullptr;
  if (!task) return;
  if (room.value == 0) {
    close(*task, room.stream);
  } else if (Stream& stream = task->streams[room.stream]; stream.room + room.value <= kWindow) {
    stream.room += room.value;
  }
  if (task->pid < 0) pass_on_the_rest(*task);
}

// Whether there may be more.
bool Tasks::pass_on(Task& task, unsigned stream) {
  static struct {
    Data header;
    char bytes[kMaxData];
  } frame;
  Stream& from = task.streams[stream];
  if (from.fd < 0 || from.room == 0) return false;
  if (from.left == 0) return close(task, stream), false;
  uint32_t most = from.room < kMaxData ? from.room : kMaxData;
  if (most > from.left) most = from.left;
  const long got = kernel::read(from.fd, frame.bytes, most);
  if (got == -EINTR) return true;
  const bool holders_are_alone = got == -EAGAIN && task.pid < 0;  // a daemon may keep it open for ever
  if (got == 0 || (got < 0 && got != -EAGAIN) || holders_are_alone) close(task, stream);
  if (got <= 0) return false;
  from.room -= static_cast<uint32_t>(got);
  if (from.left != kMaxAtOnce) from.left -= static_cast<uint32_t>(got);
  frame.header = {kDataMagic, static_cast<uint32_t>(got), task.number, stream};
  send(&frame, sizeof frame.header + static_cast<size_t>(got));
  return true;
}

void Tasks::pass_on_the_rest(Task& task) {
  for (unsigned stream = 1; stream <= 2; ++stream)
    while (pass_on(task, stream)) {}
  finish_if_done(task);
}

void Tasks::finish_if_done(Task& task) {
  if (task.pid > 0 || task.streams[1].fd >= 0 || task.streams[2].fd >= 0) return;
  close(task, 0);
  send(&task.end, sizeof task.end);
  task.number = 0;
  while (used_ > 0 && tasks_[used_ - 1].number == 0) --used_;
}

unsigned Tasks::add_interest(pollfd* entries) const {
  unsigned count = 0;
  for (unsigned i = 0; i < used_; ++i) {
    const Task& task = tasks_[i];
    entries[count++] = {task.waiting_bytes > 0 ? task.streams[0].fd : -1, POLLOUT, 0};
    for (unsigned stream = 1; stream <= 2; ++stream)
      entries[count++] = {task.streams[stream].room > 0 ? task.streams[stream].fd : -1, POLLIN, 0};
  }
  return count;
}

void Tasks::serve(const pollfd* entries) {
  const unsigned places = used_;
  for (unsigned i = 0; i < places; ++i, entries += 3) {
    Task& task = tasks_[i];
    if (task.number == 0) continue;
    if (entries[0].revents) feed(task);
    for (unsigned stream = 1; stream <= 2; ++stream)
      if (entries[stream].revents) pass_on(task, stream);
  }
}

void Tasks::ended(long pid, int status, const kernel::Usage& used) {
  for (unsigned i = 0; i < used_; ++i) {
    Task& task = tasks_[i];
    if (task.number == 0 || task.pid != pid) continue;
    const int signal = status & 0x7f;
    task.pid = -1;
    task.end = {kReportMagic, ReportKind::exited, (status >> 8) & 0xff, Step::none, 0, task.number};
    if (signal) task.end.kind = ReportKind::signaled, task.end.value = signal;
    task.end.wall_us = kernel::monotonic_us() - task.began_us;
    task.end.user_us = used.user_us;
    task.end.system_us = used.system_us;
    task.end.max_rss_bytes = used.max_rss_bytes;
    // Whoever it left behind may go on writing for ever: what is in the pipes now is its own.
    for (unsigned stream = 1; stream <= 2; ++stream) {
      int held = 0;
      if (task.streams[stream].fd >= 0 && kernel::ioctl(task.streams[stream].fd, FIONREAD, &held) == 0 && held >= 0)
        task.streams[stream].left = static_cast<uint32_t>(held);
    }
    pass_on_the_rest(task);
    return;
  }
}

void Tasks::reap() {
  for (unsigned i = 0; i < used_; ++i) {
    const long pid = tasks_[i].number != 0 ? tasks_[i].pid : -1;
    int status = 0;
    kernel::Usage used;
    if (pid > 0 && kernel::wait_for(static_cast<int>(pid), &status, &used) == pid && !kernel::is_stop(status))
      ended(pid, status, used);
    // One whose output nobody takes is told of as well, without the rest of it.
    if (tasks_[i].number != 0 && tasks_[i].pid < 0) send(&tasks_[i].end, sizeof tasks_[i].end);
  }
}

}  // namespace bailey::init
