#include "base/id_maps.h"

#include <fcntl.h>

#include <string>

#include "base/files.h"

namespace bailey {

namespace {

std::string line_of(SingleId id) { return std::to_string(id.inside) + " " + std::to_string(id.outside) + " 1\n"; }

}  // namespace

Result<> write_single_id_maps(pid_t pid, SingleId user, SingleId group, Setgroups setgroups) {
  const std::string directory = pid == 0 ? "/proc/self" : "/proc/" + std::to_string(pid);
  if (setgroups == Setgroups::deny) TRY(files::write_existing(AT_FDCWD, directory + "/setgroups", "deny"));
  TRY(files::write_existing(AT_FDCWD, directory + "/uid_map", line_of(user)));
  return files::write_existing(AT_FDCWD, directory + "/gid_map", line_of(group));
}

}  // namespace bailey
