// IdMap: which host ids a sandbox's users are.
//
//   root            0-65535 -> a range of the sandbox's own (uid_range.h), written by us
//   ordinary user   the workload's own uid and gid -> the caller's, so that what it leaves in a volume is the caller's. With
//                   ranges in /etc/subuid and /etc/subgid, and newuidmap(1) and newgidmap(1) to write them, every other id ->
//                   that range, in order; without them there is no other id
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/config.h"
#include "native/uid_range.h"

namespace bailey::native {

enum class IdMapKind { own_range, subordinate, single };

class IdMap {
 public:
  IdMap() = default;
  // What this caller can have; reads /etc/subuid, /etc/subgid and /etc/passwd, tries nothing. A range
  // counts where newuidmap could serve it: with new privileges, in the account's own group, and in a user namespace that has
  // it.
  static IdMapKind kind_here();
  // Reserves what the kind needs. `runtime_directory`: see UidRange. Fault::refused when a group of the workload's has no id.
  static Result<IdMap> create(IdMapKind kind, const std::string& runtime_directory, const bundle::User& workload);

  // Writes uid_map and gid_map of a process that waits in its new user namespace. Before it does anything there.
  Result<> write(int pid) const;
  const std::vector<bundle::IdMapping>& uids() const { return uids_; }
  uint32_t host_uid(uint32_t inner) const { return host_id(uids_, inner); }
  uint32_t host_gid(uint32_t inner) const { return host_id(gids_, inner); }

  // Inner ids 0-65535 with `own` -> `caller` and the others -> `range`, in order, as far as it goes. Pure.
  static std::vector<bundle::IdMapping> around(uint32_t own, uint32_t caller, uint32_t first, uint32_t count);

 private:
  static uint32_t host_id(const std::vector<bundle::IdMapping>& map, uint32_t inner);
  Result<> run_helper(const char* name, int pid, const std::vector<bundle::IdMapping>& map) const;

  IdMapKind kind_ = IdMapKind::single;
  std::vector<bundle::IdMapping> uids_, gids_;
  UidRange range_;
};

}  // namespace bailey::native
