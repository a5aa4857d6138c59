// Plan: everything the native backend will do, as plain data, compiled from a Spec before anything is made. native/ in the
// order in which a start runs through it:
//
// clang-format off
//   plan.h        Spec -> Plan (pure; --explain prints it)    identity/       ids of the host and inside, capabilities
//   backend.h     create: leases, plan, launch                root/           host ends of mounts, the file tree
//   launch.h      clone3, id maps, the set-up report          landlock.h      hardening.h
//   child.h       the new process, in its order, to exec      seccomp_plan.h  which filters it gets
//   instance.h    a sandbox                                   syscall_log.h   the listener of --seccomp-log
// clang-format on
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "dispatcher/spec.h"
#include "host/cgroup/cgroup.h"
#include "native/identity/caps.h"
#include "native/identity/id_map.h"
#include "native/landlock.h"
#include "native/root/root_plan.h"
#include "native/seccomp_plan.h"

namespace bailey::native {

// A namespace that is there already, of an engine's configuration.
struct JoinedNamespace {
  uint64_t flag = 0;  // CLONE_NEW*
  size_t index = 0;   // of config.linux.namespaces, and of the Spec's opened ones
};

struct Plan {
  uint64_t clone_flags = 0;  // CLONE_NEW* that are made; the cgroup namespace is unshared later, inside the cgroup
  std::vector<JoinedNamespace> joins;
  bool new_cgroup_namespace = true;
  // An engine's: the caller's configuration rules. Nothing is forbidden, dropped or filtered that it does not name, and init
  // stays root until the command begins, which has the user and the privileges below.
  bool complete = false;
  IdMapKind ids_kind = IdMapKind::own_range;
  std::vector<bundle::IdMapping> uid_mappings, gid_mappings;  // of IdMapKind::given
  bool privileged = true;      // made by root: trees are cloned before the child exists, ids of volumes are mapped
  bool many_ids = true;        // more than the workload's own id is mapped
  bool loopback_up = false;    // a new network namespace starts with lo down
  bool joins_network = false;  // a namespace that was made ready before: BeginInputs::netns
  std::string hostname, domainname;
  RootPlan root;
  bundle::User user;
  WantedIds ids;
  bool terminal = false;
  bool independent = false;  // it goes on without the process that made it
  bool new_keyring = true;
  std::vector<std::pair<std::string, std::string>> sysctl;  // file below /proc/sys -> value
  std::optional<unsigned long> personality;                 // personality(2)
  std::string time_offsets;                                 // as /proc/PID/timens_offsets takes them; empty: no such namespace
  int oom_score_adj = 0;
  CapsPlan caps;
  LandlockPlan landlock;
  SeccompPlan seccomp;
  bool no_new_privileges = true;  // of a complete one; all others have it
};

// What the plan depends on of this host.
struct HostTraits {
  IdMapKind ids = IdMapKind::own_range;
  int landlock_abi = 0;
  int own_oom_score = 0;                   // of this process
  const bundle::HostTree* tree = nullptr;  // of the host's files for the default root; none: it has none of them
  host::CgroupMounts cgroups = {};         // for an engine's mount of them
};

// Error: every field of the Spec that native could not enforce, all in one (Backend::check).
// `names`: on a network with addresses, once they are known.
Result<Plan> compile(const dispatcher::Spec& spec, const HostTraits& host, const bundle::NetworkNames& names = {});
json::Value to_json(const Plan& plan);
// Of an engine's configuration (complete_plan.cc).
Result<Plan> compile_complete(const dispatcher::Spec& spec, const HostTraits& host);

}  // namespace bailey::native
