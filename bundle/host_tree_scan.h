// Lists the files that a copy of the host's files will hold (host_tree.h): the table of host_files.h and a policy's additions,
// looked up on this host. Reads; makes nothing. A file or directory that others may not read is left out here, one by one.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace bailey::bundle {

struct HostScanInputs {
  std::string host;                      // before every path of the host; "" but in tests
  std::vector<std::string> add, remove;  // absolute paths: shown as well, with what is below; not shown, nor what is below
};

// A file whose change must be noticed. `changed_ns`: ctime, which no program can set.
struct Seen {
  std::string path;  // on the host, with inputs.host before it
  uint64_t device = 0, inode = 0;
  int64_t changed_ns = 0;
  bool names_only = false;  // a directory of which only some names are ours: what else changes in it does not matter
  friend bool operator==(const Seen&, const Seen&) = default;
};

// One thing to make. `path` is relative to the root, and the directory it lies in comes first.
struct HostItem {
  enum class Kind {
    directory,
    symlink,         // to `source`, as it stands there
    copy,            // of the file `source`, which must still be `inode` then, and readable for others
    bind_directory,  // an empty place for the host's own: too large to copy
    bind_file,
  };
  Kind kind = Kind::directory;
  std::string path, source;
  mode_t mode = 0755;
  uint64_t device = 0, inode = 0;
  timespec modified{};
  bool check = false;  // of a copy: only if what is copied gives no secret (host_files.h)
};

struct HostScan {
  std::vector<Seen> seen;
  std::vector<HostItem> items;
  std::vector<std::string> notes;  // what of inputs.add is not shown, and why
};

// A path that is absent or cannot be read is left out; that is no error.
HostScan scan_host(const HostScanInputs& inputs);

// Why a path that a policy adds is not shown on this host: it is absent, or not everybody may read it; empty when it is.
std::string why_not_shown(const std::string& path);

// May everybody read it: the bits for others; of a directory, list and enter it.
bool is_public(mode_t mode);
// Device, inode and ctime of the path itself; all 0 when there is none.
Seen look_at(const std::string& path);

}  // namespace bailey::bundle
