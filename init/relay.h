// The workload's stdout and stderr as pipes of the sandbox's own kernel, whose other ends init holds, and passes on to the
// pipes that it was given. For gVisor: at a pipe of the host's it raises no SIGPIPE, at one of its own it does (job.h).
//
//   workload's 1, 2  -->  pipe  --- splice(2), never blocking -->  what init was given as 1, 2
//
// When the reader of an output is gone, init closes the matching pipe: the workload's next write ends it or fails with EPIPE.
// Under a stream of many large writes it rests between two moves: to be woken for each write took as much time as the writing.
// A dialogue of short lines is passed on at once.
#pragma once

#include "init/kernel.h"

struct pollfd;

namespace bailey::init {

class OutputRelay {
 public:
  static constexpr unsigned kPollSlots = 4;

  // Puts the pipes in the place of descriptors 1 and 2, one for both when `merged`; 0 or -errno. Before the workload starts.
  // They belong to the effective user for good: gVisor of 2022 changes no owner of a pipe.
  long open(bool merged);
  // Exactly kPollSlots entries, with descriptor -1 where nothing is waited for.
  void add_interest(pollfd* entries) const;
  long rest_ns() const;  // how long poll(2) may wait before serve() has something to do; -1: for ever
  void serve(const pollfd* entries);
  // The writers are dead, or left: waits until the rest is passed on, or `hangup` (-1: nothing) is readable.
  void drain(int hangup);

 private:
  struct Stream {
    int from = -1, to = -1;
    bool sink_full = false, resting = false, enlarged = false;
    int large_moves = 0;  // in a row
    void move();
    void close();
  };
  static long open(Stream& stream, int number);
  Stream streams_[2];
};

}  // namespace bailey::init
