// Policy: what each trust level may have. Data only; read from /etc/bailey/policy.json (root-owned, not writable by others,
// unknown keys are errors) or built in. `untrusted` and `trusted` always exist.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "dispatcher/request.h"
#include "network/bridge/bridge.h"

namespace bailey::dispatcher {

inline constexpr const char* kPolicyPath = "/etc/bailey/policy.json";

// One value per limit. Absent in `ceilings`: there is no ceiling. Absent in `defaults`: the ceiling is the default.
struct LimitValues {
  std::optional<uint64_t> memory_bytes;
  std::optional<uint64_t> swap_bytes;  // swap alone, beyond memory
  std::optional<double> cpus;
  std::optional<uint64_t> pids;
  std::optional<int64_t> wall_ms;
  std::optional<uint64_t> output_bytes;
  std::optional<uint64_t> tmpfs_bytes;
  std::optional<uint64_t> tmpfs_inodes;
  std::optional<uint64_t> open_files;
  std::optional<uint64_t> file_bytes;
  std::optional<uint64_t> network_rate_bytes;   // a second, each way; of a network that Bailey filters, as the next
  std::optional<uint64_t> network_connections;  // at one time
  friend bool operator==(const LimitValues&, const LimitValues&) = default;
};

enum class VolumeRule { none, read_only, read_write };

// Where ports of a sandbox may be published: nowhere, on the host's loopback, or on any of its addresses.
enum class PublishRule { none, loopback, any };

// What a seccomp profile of the caller's may do (linux.seccomp): nothing, take away from the built-in one, or stand in its
// place, above what always holds (seccomp/profiles/floor.seccomp).
enum class SeccompRule { builtin, narrow, replace };

struct Level {
  std::string name;
  std::vector<BackendKind> runtimes;  // the first one is what `auto` takes; there is no second try
  std::vector<NetworkMode> networks;
  std::vector<std::string> shared_networks;                   // names of bridge:NAME; "*": every one
  std::vector<network::Grant> egress;                         // what a request that names none gets
  std::optional<std::vector<network::Grant>> egress_ceiling;  // what a request may name; absent: everything
  PublishRule publish = PublishRule::loopback;
  LimitValues defaults, ceilings;
  VolumeRule volumes = VolumeRule::read_write;
  std::vector<std::string> volume_roots;      // when not empty, every source must lie below one of them
  SeccompRule seccomp = SeccompRule::narrow;  // never `replace` for untrusted code
  bool secrets = false;
  BackendSettings backend_settings;  // of kLevelSettings
  bool untrusted = true;             // the invariants for untrusted code hold, whatever the level is called
  friend bool operator==(const Level&, const Level&) = default;
};

// Differences to the table of the host's files that the default root shows (bundle/host_files.txt): absolute paths.
struct DefaultRootRule {
  std::vector<std::string> add, remove;
  friend bool operator==(const DefaultRootRule&, const DefaultRootRule&) = default;
};

// The levels of an engine's containers (the OCI face): the one where their annotation names none, and those that it may name.
struct EngineRule {
  std::string default_level = "untrusted";
  std::vector<std::string> levels = {"untrusted", "trusted"};
  friend bool operator==(const EngineRule&, const EngineRule&) = default;
};

struct Policy {
  std::string source = "built-in";  // or the file's path
  std::map<std::string, Level> levels;
  bool unsafe_native_for_untrusted = false;
  BackendSettings backend_settings;  // of kPolicySettings
  std::string audit_file;            // empty: no audit; configured and not writable: nothing starts
  std::string cgroup_parent;         // empty: found (host/cgroup/cgroup.h)
  network::BridgeSpec bridge;
  DefaultRootRule default_root;
  EngineRule engines;
  std::string uplink;  // absolute path of a pasta or slirp4netns, for the network `userspace`; empty: search
  friend bool operator==(const Policy&, const Policy&) = default;
};

// For root, or for an ordinary user: without a delegated cgroup nothing could enforce memory and pids for one, so `trusted` has
// no defaults of those there. `untrusted` keeps them, and is refused where they cannot hold.
Policy builtin_policy(bool root);
Policy builtin_policy();  // for this process's effective user
// The level of that name; nullptr when there is none.
const Level* find_level(const Policy& policy, std::string_view name);
// Text to policy; every fault with file, line and JSON path. Levels given override the built-in ones of that name key by key;
// new names start from `untrusted`.
Result<Policy> parse_policy(std::string_view text, std::string_view name);
// Opens `path` (empty: kPolicyPath, and when that does not exist the built-in one), refuses a file or directory that others
// than root (and, when not root, the caller) may write, a link, and anything that is not a regular file.
Result<Policy> load_policy(const std::string& path);
json::Value to_json(const Policy& policy);

}  // namespace bailey::dispatcher
