// Jobs with a number: processes with three pipes of their own, whose bytes travel over the channel (job.h).
#pragma once

#include "init/job_reader.h"
#include "init/kernel.h"

struct pollfd;

namespace bailey::init {

class Tasks {
 public:
  static constexpr unsigned kPollSlots = 3 * kMostTasks;

  void report_to(int channel) { channel_ = channel; }
  // Starts it, and reports that it has started or why it could not.
  void start(const Job& job, uint32_t number);
  void refuse(uint32_t number, Step step, int error) const;
  // All three: nothing happens when there is no such job (any more).
  void signal(uint32_t number, int signal);
  void take(const Frame& data, const char* bytes);
  void make_room(const Frame& room);

  // Fills entries and returns how many; serve() takes just these.
  unsigned add_interest(pollfd* entries) const;
  void serve(const pollfd* entries);
  // A child has ended, perhaps the first process of one.
  void ended(long pid, int status, const kernel::Usage& used);
  // The sandbox ends: waits for those that have ended by now, and tells of each as it ended.
  void reap();

 private:
  static constexpr uint32_t kMaxAtOnce = ~0u;
  struct Stream {
    int fd = -1;
    uint32_t room = 0;           // bytes that the backend takes; of stdin 0 when there will be no more
    uint32_t left = kMaxAtOnce;  // bytes to pass on before it is closed: once its process has ended, what it held then
  };
  struct Task {
    uint32_t number = 0;  // 0: a free place
    long pid = -1;        // -1: it has ended
    uint64_t began_us = 0;
    Stream streams[3];
    char* waiting = nullptr;  // of stdin, kWindow bytes: what the pipe did not take yet
    uint32_t waiting_at = 0, waiting_bytes = 0;
    Report end{};
  };
  Task* find(uint32_t number);
  void feed(Task& task);
  bool pass_on(Task& task, unsigned stream);
  void pass_on_the_rest(Task& task);
  void close(Task& task, unsigned stream);
  void finish_if_done(Task& task);
  void send(const void* frame, size_t size) const;

  int channel_ = -1;
  Task* tasks_ = nullptr;  // kMostTasks places, from the first job on
  unsigned used_ = 0;      // so many of them may be taken
};

}  // namespace bailey::init
