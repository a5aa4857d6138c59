// Stage: one sandbox's secrets on a tmpfs that never swaps (mount option noswap, Linux 6.3), made detached so that no mount
// table of the host ever shows it. The backend attaches it at kDirectory in the sandbox's own mount namespace.
//
//   detached tmpfs  noswap,size,nr_inodes,mode=0711  nosuid,nodev,noexec   -> sealed read-only by seal()
//     NAME          0400 (or :MODE), owner = the host id of the inner user
//
// Needs CAP_SYS_ADMIN in the initial user namespace for noswap; as an ordinary user the backend calls create() after clone,
// inside the sandbox's user namespace, and gets ramfs, which never swaps either.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "secrets/request.h"

namespace bailey::secrets {

class Stage {
 public:
  Stage() = default;  // no secrets: nothing was made
  // Reads every source (O_NOFOLLOW, regular, at most kMaxSecretBytes) through locked memory that is wiped before this returns,
  // and writes them to a new detached mount. `host_id` maps an inner uid/gid to the host's, `default_uid` is the workload's.
  static Result<Stage> create(const std::vector<Request>& requests, uint32_t default_uid, uint32_t default_gid,
                              const std::function<uint32_t(uint32_t)>& host_id);
  bool empty() const { return !mount_; }
  int mount_fd() const { return mount_.get(); }  // for move_mount(MOVE_MOUNT_F_EMPTY_PATH); read-only from the start of it
  // Secrets that are to appear elsewhere than kDirectory: (file name on the stage, destination).
  const std::vector<std::pair<std::string, std::string>>& elsewhere() const { return elsewhere_; }

 private:
  Fd mount_;
  std::vector<std::pair<std::string, std::string>> elsewhere_;
};

}  // namespace bailey::secrets
