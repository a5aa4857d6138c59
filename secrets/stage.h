// Stage: one sandbox's secrets on a file system that never swaps, made detached so that no mount table of the
// host ever shows it. The backend attaches it at kDirectory in the sandbox's own mount namespace; when the
// last holder is gone, so is it.
//
//   tmpfs noswap (Linux 6.3), else ramfs      nosuid,nodev,noexec, read-only once it is filled
//     NAME        0400 (or :MODE), owner = the host ids of the inner user
//
// noswap needs CAP_SYS_ADMIN in the initial user namespace. An ordinary user gets ramfs, which never swaps
// either, made by a child in a user namespace of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "secrets/request.h"

namespace bailey::secrets {

// The workload's ids inside, and how ids inside become those of the host.
struct Owner {
  using HostId = std::function<uint32_t(uint32_t)>;
  uint32_t uid = 0, gid = 0;
  HostId host_uid = std::identity(), host_gid = std::identity();
};

class Stage {
 public:
  Stage() = default;  // no secrets: nothing was made
  // Reads every source through locked memory that is wiped before this returns (source.h), and writes them to
  // a new detached mount, for `owner` where a request names no other.
  // This process cannot be dumped or traced meanwhile. Errors name the secret, never its contents.
  // Single-threaded; not between clone and exec.
  static Result<Stage> create(const std::vector<Request>& requests, const Owner& owner);
  bool empty() const { return !mount_; }
  int mount_fd() const { return mount_.get(); }  // for move_mount(MOVE_MOUNT_F_EMPTY_PATH)

 private:
  explicit Stage(Fd mount) : mount_(std::move(mount)) {}
  Fd mount_;
};

}  // namespace bailey::secrets
