// Patience: how long a backend may wait while a sandbox is made and started. A root or volume on a hung file system (FUSE, NFS)
// stops the making for ever; the deadline and the signals that end the wait belong to the caller, not to a backend.
#pragma once

#include <poll.h>

#include <span>

#include "base/clock.h"
#include "base/result.h"

namespace bailey::dispatcher {

class Patience {
 public:
  virtual ~Patience() = default;
  // Waits until one of `fds` has something (poll(2)). Error: the time is over, or somebody asked for the end. A backend only
  // passes the error on; whoever has the Instance then ends it.
  virtual Result<> until_ready(std::span<pollfd> fds) = 0;
};

// Until a deadline, and nothing else ends it.
class PatienceUntil final : public Patience {
 public:
  explicit PatienceUntil(clock::Deadline deadline) : deadline_(deadline) {}
  Result<> until_ready(std::span<pollfd> fds) override;

 private:
  clock::Deadline deadline_;
};

}  // namespace bailey::dispatcher
