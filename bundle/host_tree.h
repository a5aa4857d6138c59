// HostTree: a copy, on the runtime directory's tmpfs, of what the default root shows of the host's /etc, /var and /sys, so that
// a sandbox gets it by one bind each, however much there is. Only what everybody on the host may read is ever in it, and no
// file that may hold a secret (host_files.h).
//
//   RUNTIME/.default-root/          0700, as the runtime directory is
//     current -> t...               replaced by rename
//     t.../root/{etc,var,sys,...}   what sandboxes see, read-only
//     t.../index                    what it was made of
//
// Each start compares the index with the host: ctime and inode of every file and directory that was copied, and of the
// directories that names were looked up in. After any change a new copy is made. One that somebody uses is locked (flock,
// shared) and stays until its last user is gone; a later maker removes it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "bundle/host_tree_scan.h"

namespace bailey::bundle {

struct HostTreeInputs {
  HostScanInputs scan;
  std::string runtime_directory;                                  // made when missing; must be this user's alone
  const std::vector<std::pair<std::string, std::string>>& files;  // path (etc/passwd) and contents: in the copy as well
};

struct HostTree {
  Fd lock;                               // as long as it is open, the copy stays
  std::string path;                      // of .../root
  std::vector<HostItem> binds;           // bind_directory and bind_file alone: `source` belongs at `path`
  std::vector<std::string> directories;  // of the root: etc, var, ...
};

// About a system call for each file that was copied, some 200 on an ordinary host; milliseconds when the copy has to be made.
// Root or an ordinary user, each with a copy of their own. Warns of what of scan.add is not shown when it makes one.
Result<HostTree> open_host_tree(const HostTreeInputs& inputs);

}  // namespace bailey::bundle
