// RawTerminal: the caller's terminal in raw mode while a workload has a pty of its own, so that every key, ^C
// included, is the pty's business. Restored on destruction; the signals that would end us are blocked and
// taken by dispatcher/foreground.h, so that only SIGKILL leaves it raw.
#pragma once

#include <memory>

#include "base/result.h"

namespace bailey::dispatcher {

class RawTerminal {
 public:
  RawTerminal();  // nothing changed
  ~RawTerminal();
  RawTerminal(RawTerminal&&) noexcept;
  RawTerminal& operator=(RawTerminal&&) noexcept;
  static Result<RawTerminal> enter(int fd);  // `fd` must outlive it; not a terminal: nothing is changed

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
};

// The size of the first of our 0, 1 and 2 that is a terminal, given to the pty; the kernel then tells the
// pty's foreground process group by SIGWINCH. None is a terminal: the pty keeps its size.
void copy_terminal_size(int master);

}  // namespace bailey::dispatcher
