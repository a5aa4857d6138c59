#include "host/probe/probe.h"

namespace bailey::host {

const char* to_text(Probe::State state) {
  switch (state) {
    case Probe::State::ok: return "ok";
    case Probe::State::degraded: return "degraded";
    case Probe::State::missing: return "missing";
  }
  return "missing";
}

std::vector<Probe> probe_host(const std::string& directory, const std::string& cgroup_parent) {
  std::vector<Probe> probes = {
      probe_user_namespace(),
      probe_all_namespaces(),
      probe_namespace_limits(),
      probe_id_ranges(),
      probe_mount_api(),
      probe_openat2(),
      probe_overlay(),
      probe_idmapped_mounts(directory),
      probe_unswappable_tmpfs(),
      probe_landlock(),
      probe_seccomp(),
      probe_pidfd(),
      probe_clone3(),
      probe_close_range(),
      probe_memfd(),
      probe_rlimit_raising(),
  };
  for (Probe& probe : probe_cgroups(cgroup_parent)) probes.push_back(std::move(probe));
  return probes;
}

}  // namespace bailey::host
