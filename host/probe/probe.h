// Probes: what this host can do, each thing found by trying it in a forked child, never by a version number.
// Slow (about 50 ms together) and never part of a start: `bailey doctor` runs them. Nothing is left behind.
// No privileges: what needs them says so.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/cgroup/cgroup.h"

namespace bailey::host {

struct Probe {
  enum class State { ok, degraded, missing };
  std::string name;  // "user namespaces": the same words in every run, for --json
  State state = State::missing;
  std::string detail;  // what was seen: "ABI 7", "unshare: EPERM"
  std::string cost;    // what it costs users when it is not ok: "no native backend"; empty when ok
  std::string remedy;  // what to do about it; empty when ok
};
const char* to_text(Probe::State state);

// Every probe below, in the order that doctor prints. `directory` is where an ordinary root file system would
// lie: id-mapped mounts depend on the file system.
std::vector<Probe> probe_host(const std::string& directory = "/usr", const std::string& cgroup_parent = {});

// probe_namespaces.cc
Probe probe_user_namespace();
Probe probe_all_namespaces();  // the seven that a native sandbox has, with a /proc of its own
Probe probe_namespace_limits();
Probe probe_id_ranges();  // root: always; others: newuidmap and /etc/subuid
// probe_mounts.cc
Probe probe_mount_api();
Probe probe_openat2();
Probe probe_overlay();
Probe probe_idmapped_mounts(const std::string& directory);
Probe probe_unswappable_tmpfs();
// probe_processes.cc
Probe probe_landlock();
Probe probe_seccomp();
Probe probe_pidfd();
Probe probe_clone3();
Probe probe_close_range();
Probe probe_memfd();
Probe probe_rlimit_raising();  // CAP_SYS_RESOURCE
// probe_cgroups.cc: the layout, then each controller that limits need
std::vector<Probe> probe_cgroups(const std::string& parent);
// Of /proc/cmdline: v2's memory controller was told not to count the buffers of sockets. Pure.
bool leaves_out_socket_memory(std::string_view cmdline);

}  // namespace bailey::host
