// LeakCheck: the host as it was when a test began, and proof that it is so again when the test ends.
//
//   mounts of this mount namespace · processes below this one, orphans included (it becomes their reaper) · cgroup directories
//   with our name · network links and named network namespaces · entries of the runtime directory and /dev/shm, our names in
//   /tmp · our descriptors · owner and mode of /dev/null, /dev/zero, /dev/full (runsc of 2022 chowns a /dev/null that it gets
//   as stdin)
//
// What is new is looked at again until it is gone or the deadline has passed, because the kernel tears namespaces down late.
// Something that other programs of the machine make and remove meanwhile is no leak.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace bailey::tests {

using HostState = std::set<std::string>;  // one line per thing: "mount 8:1 / /mnt ext4", "process 17 runsc-sandbox", ...
HostState look_at_host();

class LeakCheck {
 public:
  LeakCheck();   // looks
  ~LeakCheck();  // expect_clean() unless that was called
  LeakCheck(const LeakCheck&) = delete;
  HostState added() const;  // what is new right now
  // Adds a test failure that lists every thing that is new or gone. Reaps orphans that have ended.
  void expect_clean(int64_t timeout_ms = 60'000);

 private:
  HostState before_;
  bool done_ = false;
};

}  // namespace bailey::tests
