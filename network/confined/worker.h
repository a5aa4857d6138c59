// Worker: a child process that reads what a hostile workload sends (names, connections) and holds nothing worth having.
//
// It keeps the descriptors that it is given, /dev/null as 0 to 2 and one end of a channel, and nothing else. It ends with its
// channel, and when the thread that made it does. As root's child it is nobody (65534) without groups; it never has
// capabilities, gains none by execution, cannot be traced by its own user, makes no process or file (root only: the limit of
// processes counts per user), and has 256 MiB of memory at most. It has few system calls (seccomp/profiles/worker.seccomp):
// none that opens a file, listens, or speaks anything but TCP and UDP. Where the kernel has Landlock of ABI 4 (Linux 6.7), it
// connects by TCP to the ports named only. It is a copy of this process: the environment is wiped in it, and memory marked
// MADV_WIPEONFORK (secrets) is, too.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::network {

struct WorkerSpec {
  const char* name = "bailey-worker";  // as ps shows it, 15 characters; a literal
  std::vector<int> keep;               // above 2
  std::vector<uint16_t> connects;      // TCP ports of any address
  uint64_t descriptors = 64;           // RLIMIT_NOFILE, lowered to the hard limit
};

class Worker {
 public:
  // Forks and runs `work` there, in the namespaces of this thread, once it is confined; the process ends when `work` returns.
  // The caller has one thread. Does not wait: await_confined() does, once, before anybody hostile can reach the worker or its
  // channel is used. Error of that: it could not be confined, and no child is left.
  static Result<Worker> begin(const WorkerSpec& spec, const std::function<void(int channel)>& work);
  Result<> await_confined();
  Worker() = default;
  Worker(Worker&& other) noexcept
      : name_(other.name_),
        channel_(std::move(other.channel_)),
        pidfd_(std::move(other.pidfd_)),
        pid_(std::exchange(other.pid_, -1)) {}
  Worker& operator=(Worker&& other) noexcept;
  ~Worker() { reset(); }

  // AF_UNIX, SOCK_SEQPACKET, non-blocking. End of file: the worker has ended.
  int channel() const { return channel_.get(); }
  pid_t pid() const { return pid_; }
  explicit operator bool() const { return pid_ > 0; }
  void kill();   // does not wait for its end
  void reset();  // kills and reaps
  // Kills, reaps and tells how it had ended: "exit code 0", "signal 11".
  std::string end();

 private:
  const char* name_ = "";
  Fd channel_, pidfd_;
  pid_t pid_ = -1;
};

}  // namespace bailey::network
