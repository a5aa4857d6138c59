// IdMap: which host ids a sandbox's users are.
//
// clang-format off
//   root            0-65535 -> a range of the sandbox's own (uid_range.h), written by us. A larger id that a spec names by number
//                   (platforms give out ids such as 1000680000) takes the place of an id below 65534 that nobody uses
//   ordinary user   the workload's own uid and gid -> the caller's, so that what it leaves in a volume is the caller's. With
//                   ranges in /etc/subuid and /etc/subgid, and newuidmap(1) and newgidmap(1) to write them, every other id ->
//                   that range, in order; without them there is no other id
// clang-format on
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/config.h"
#include "native/identity/uid_range.h"

namespace bailey::native {

// Ids inside that the sandbox has a use for: the workload's, those of secrets and of file systems in memory.
struct WantedIds {
  std::vector<uint32_t> uids, gids;
};

// none: no user namespace of its own, so that every id is the host's. given: as an engine's configuration has them.
enum class IdMapKind { own_range, subordinate, single, none, given };

class IdMap {
 public:
  IdMap() = default;
  // What this caller can have; reads /etc/subuid, /etc/subgid and /etc/passwd, tries nothing. A range
  // counts where newuidmap could serve it: with new privileges, in the account's own group, and in a user namespace that has
  // it.
  static IdMapKind kind_here();
  // Reserves what the kind needs. `runtime_directory`: see UidRange. Fault::refused when a group of the workload's has no id.
  static Result<IdMap> create(IdMapKind kind, const std::string& runtime_directory, const bundle::User& workload,
                              const WantedIds& wanted = {});

  static IdMap of_engine(std::vector<bundle::IdMapping> uids,
                         std::vector<bundle::IdMapping> gids);  // none where both are empty

  // What was reserved stays so as long as the sandbox `id` of that runtime directory is there, also without this process.
  Result<> keep(const std::string& runtime_directory, const std::string& id) const;

  // Writes uid_map and gid_map of a process that waits in its new user namespace. Before it does anything there.
  Result<> write(int pid) const;
  const std::vector<bundle::IdMapping>& uids() const { return uids_; }
  uint32_t host_uid(uint32_t inner) const { return host_id(uids_, inner); }
  uint32_t host_gid(uint32_t inner) const { return host_id(gids_, inner); }

  // Inner ids 0-65535 with `own` -> `caller` and the others -> `range`, in order, as far as it goes. `far`: ids above 65535
  // that get the range's last ones, as many as there are. Pure.
  static std::vector<bundle::IdMapping> around(uint32_t own, uint32_t caller, uint32_t first, uint32_t count,
                                               const std::vector<uint32_t>& far = {});
  // Inner ids 0-65535 -> the 65536 from `first` on, but that those of `wanted` above 65535 take the places of ids that nobody
  // wants, the highest below 65534 (nobody). Pure; at most kMostFar are above.
  static std::vector<bundle::IdMapping> whole(uint32_t first, const std::vector<uint32_t>& wanted);
  // Ids above 65535, each once and in order. Pure.
  static std::vector<uint32_t> far_ids(std::vector<uint32_t> wanted);
  static constexpr size_t kMostFar = 64;  // uid_map is written as one page at most, and has 340 lines (user_namespaces(7))

 private:
  static uint32_t host_id(const std::vector<bundle::IdMapping>& map, uint32_t inner);
  Result<> run_helper(const char* name, int pid, const std::vector<bundle::IdMapping>& map) const;

  IdMapKind kind_ = IdMapKind::single;
  std::vector<bundle::IdMapping> uids_, gids_;
  UidRange range_;
};

}  // namespace bailey::native
