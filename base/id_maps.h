// The maps of a user namespace that has one user and one group (user_namespaces(7)), as whoever made it writes them without any
// privilege. Not between clone and exec: messages allocate.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"

namespace bailey {

struct SingleId {
  uint32_t inside, outside;
};

// Writes those of process `pid`, or of this one (0), which must be dumpable or root's: otherwise its /proc files are not its
// own (proc(5)). A writer without CAP_SETGID has to deny setgroups(2) first.
enum class Setgroups { deny, leave };
Result<> write_single_id_maps(pid_t pid, SingleId user, SingleId group, Setgroups setgroups = Setgroups::deny);

}  // namespace bailey
