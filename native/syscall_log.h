// The listener of a filter whose refusals are reported (SECCOMP_RET_USER_NOTIF): counts them and gives each the answer that the
// filter would have given. Held by the dispatcher alone; when it goes away, what waits and what comes gets ENOSYS.
//
// Every answer follows from the registers that the kernel copied when the call was made, and nothing of the workload's memory
// is read: there is nothing to race with (seccomp_unotify(2), "Caveats").
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "dispatcher/request.h"
#include "seccomp/program.h"

namespace bailey::native {

class SyscallLog {
 public:
  // `verdicts`: what each call gets. With SeccompLog::all calls that it permits go on; otherwise none does.
  static Result<SyscallLog> open(Fd listener, std::shared_ptr<const seccomp::FilterRules> verdicts,
                                 dispatcher::SeccompLog mode);

  int fd() const { return listener_.get(); }  // -1 when no process with the filter is left
  // Lets calls that wait go on, at most so many at once. Does not block.
  void serve();
  dispatcher::LoggedCalls calls() const;

 private:
  static constexpr size_t kMaxNames = 512;  // more than the kernel has; a workload may invent numbers
  static constexpr int kBatch = 64;         // so that deadline, signals and output get their turn
  struct Counts {
    uint64_t denied = 0, used = 0;
  };
  SyscallLog() = default;
  bool answer_one();
  void count(int number, bool used);

  Fd listener_;
  std::shared_ptr<const seccomp::FilterRules> verdicts_;
  bool may_continue_ = false;
  std::vector<char> notification_, response_;  // as large as this kernel's structures
  std::map<int, Counts> counts_;
  uint64_t others_ = 0;
};

}  // namespace bailey::native
