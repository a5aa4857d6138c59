// WiringProcess: a child of this process that makes a sandbox's filter and port while this process goes on, and
// takes them away when it is let go of or this process has ended, in whatever way. What it needs is open in it until then: the
// slot's lock as well. To take them away costs the kernel 30 ms of waiting, which is the child's: it outlives this process if
// need be.
//
// It has all rights of this process, blocks every signal, and reads nothing but the end of its channel. What a killed wiring
// process leaves is its parent's to remove, and collect()'s when both were killed.
#pragma once

#include <sys/types.h>

#include <functional>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "network/bridge/port.h"
#include "network/filter/firewall.h"

namespace bailey::network {

// In the order of making: the filter stands as long as the port does.
struct Wiring {
  Firewall firewall;
  Port port;
};

class WiringProcess {
 public:
  // Forks and runs `make` there, in the namespaces of this thread, with no descriptors but those of `keep`. `netns` is one of
  // them, the sandbox's: closed first at the end, because the kernel may then remove the port by itself. Not after threads
  // exist. Does not wait.
  static Result<WiringProcess> begin(const std::function<Result<Wiring>()>& make, int netns, std::vector<int> keep);
  // Waits until all is made; once. On error the child has ended and, unless it was killed, nothing of it is left.
  Result<> await();
  // Lets it take all away and does not wait. False: it had ended before, and has left what it made.
  bool let_go();

  WiringProcess() = default;
  WiringProcess(WiringProcess&& other) noexcept : channel_(std::move(other.channel_)), pid_(std::exchange(other.pid_, -1)) {}
  WiringProcess& operator=(WiringProcess&& other) noexcept {
    channel_ = std::move(other.channel_);
    pid_ = std::exchange(other.pid_, -1);
    return *this;
  }
  pid_t pid() const { return pid_; }
  explicit operator bool() const { return static_cast<bool>(channel_); }

 private:
  Fd channel_;
  pid_t pid_ = -1;
};

}  // namespace bailey::network
