// Chooses the parent of our cgroup and makes it. This changes nothing that exists, except the cgroup.subtree_control of v2
// parents, in which it enables controllers.
//
// clang-format off
//   given by the caller    <mount>/PARENT, made if it is missing
//   v1                     this process's own cgroup in that hierarchy, which may hold processes and children
//   v2                     a cgroup with processes can hand no controller to its children, so the first usable one of
//                            1. this process's own cgroup and those above it that were delegated to us (systemd's Delegate=,
//                               ownership for ordinary users) and hold no process but this one, which then moves to the
//                               child kLauncherName
//                            2. as root: /bailey
// clang-format on
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "host/cgroup/cgroup.h"

namespace bailey::host {

// What to do about a cgroup file system that is mounted read-only.
std::string read_only_remedy(const std::string& directory);

inline constexpr const char* kDefaultParent = "/bailey";
inline constexpr const char* kLauncherName = "bailey.launcher";

struct CgroupParent {
  Fd fd;             // O_PATH, of a real cgroup file system
  std::string path;  // of the host
};
// `where` is a v1 hierarchy. Fault::unavailable with the remedy when this process may not.
Result<CgroupParent> open_parent_v1(const CgroupMounts::Controller& where, const std::string& parent);
// `where` is the v2 hierarchy; afterwards its children have `controllers`.
Result<CgroupParent> open_parent_v2(const CgroupMounts::Controller& where, const std::string& parent,
                                    const std::vector<std::string>& controllers);
// The parent as it would be, nothing made or enabled; empty when none will do. For gc and doctor.
Result<std::vector<std::string>> candidate_parents(const CgroupMounts::Controller& where, const std::string& parent);

// mkdir NAME below the parent, opened O_PATH.
Result<Fd> make_cgroup(const CgroupParent& parent, const std::string& name);
// Gives a new v1 cpuset its parent's CPUs and memory nodes, without which nothing can enter it.
Result<> inherit_cpuset(int parent, int directory);

}  // namespace bailey::host
