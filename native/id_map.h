// IdMap: which host ids a sandbox's users are.
//
//   root            0-65535 -> a range of the sandbox's own (uid_range.h), written by us
//   ordinary user   0 -> the caller, 1... -> the caller's range in /etc/subuid and /etc/subgid, written by newuidmap(1) and
//                   newgidmap(1), when both are there; else the workload's one id -> the caller
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
  // What this caller can have; reads /etc/subuid, /etc/subgid and /etc/passwd, tries nothing.
  static IdMapKind kind_here();
  // Reserves what the kind needs. `runtime_directory`: see UidRange.
  static Result<IdMap> create(IdMapKind kind, const std::string& runtime_directory, const bundle::User& workload);

  // Writes uid_map and gid_map of a process that waits in its new user namespace. Before it does anything there.
  Result<> write(int pid) const;
  uint32_t host_uid(uint32_t inner) const { return host_id(uids_, inner); }

 private:
  static uint32_t host_id(const std::vector<bundle::IdMapping>& map, uint32_t inner);
  Result<> run_helper(const char* name, int pid, const std::vector<bundle::IdMapping>& map) const;

  IdMapKind kind_ = IdMapKind::single;
  std::vector<bundle::IdMapping> uids_, gids_;
  UidRange range_;
};

}  // namespace bailey::native
