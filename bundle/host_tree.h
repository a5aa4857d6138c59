// HostTree: a copy, on the runtime directory's tmpfs, of what the default root shows of the host's /etc, /var and /sys, so that
// a sandbox gets it by one bind each, however much there is. Only what everybody on the host may read is ever in it, and no
// file that may hold a secret (host_files.h).
//
//   RUNTIME/.default-root/          0700, as the runtime directory is
//     current -> t...               replaced by rename
//     t.../root/{etc,var,sys,...}   what sandboxes see, read-only
//     t.../index                    what it was made of
//
// Each start compares the index with the host, while the sandbox is being made: ctime and inode of every file and directory
// that was copied, and of the directories that names were looked up in. After any change a new copy is made, and the sandbox
// once more. A copy that somebody uses is locked (flock, shared) and stays until its last user is gone; a later maker removes
// it.
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
  std::string runtime_directory;  // made when missing; must be this user's alone
  // Path (etc/passwd) and contents, which are in the copy as well. Not owned.
  const std::vector<std::pair<std::string, std::string>>& files;
};

struct HostTree {
  Fd lock;                               // as long as it is open, the copy stays
  std::string path;                      // of .../root
  std::vector<HostItem> binds;           // bind_directory and bind_file alone: `source` belongs at `path`
  std::vector<std::string> directories;  // of the root: etc, var, ...
  std::string index;                     // from `seen_at` on what it was made of; empty: it was made just now
  size_t seen_at = 0;
};

// A system call for each file that was copied, some hundreds on an ordinary host; milliseconds when the copy has to be made.
// Root or an ordinary user, each with a copy of their own. Warns of what of scan.add is not shown when it makes one.
// Compare::later leaves the comparing to the caller, who asks is_current() before anything sees a copy with an index.
enum class Compare { now, later };
Result<HostTree> open_host_tree(const HostTreeInputs& inputs, Compare compare = Compare::now);
bool is_current(const HostTree& tree);

// The copy as a backend holds it: opened at the first need, and compared when there is time, which is while a sandbox that is
// to see it is being made.
class KeptHostTree {
 public:
  explicit KeptHostTree(HostTreeInputs inputs) : inputs_(std::move(inputs)) {}
  Result<const HostTree*> get();
  // Whether the host has changed since the copy was made; get() then returns another one. False if none was opened.
  Result<bool> renew();

 private:
  HostTreeInputs inputs_;
  HostTree tree_;
  bool made_now_ = false;  // and not used yet
};

}  // namespace bailey::bundle
