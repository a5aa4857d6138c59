// The mounts that this process sees (/proc/self/mountinfo), and the other names by which one file is known through them: a bind
// mount of /etc at /srv/x makes /srv/x/shadow another name of /etc/shadow.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dispatcher/host_facts.h"

namespace bailey::dispatcher {

struct MountEntry {
  std::string point;   // where it is mounted, real path
  std::string root;    // which directory of its file system is seen there
  std::string device;  // "8:1"
  std::string type;    // "ext4", "proc"
};

std::vector<MountEntry> parse_mount_table(std::string_view mountinfo);  // lines of another form are left out. Pure.
Result<std::vector<MountEntry>> read_mount_table();

// Paths other than `real_path` that lead to the same file, or to what is mounted below it, as far as the mounts tell; what lies
// hidden below a later mount counts as well. Pure.
std::vector<OtherName> other_names(std::string_view real_path, const std::vector<MountEntry>& mounts);

}  // namespace bailey::dispatcher
