#include "dispatcher/policy.h"

#include <unistd.h>

namespace bailey::dispatcher {

namespace {

constexpr uint64_t kMiB = 1ULL << 20;
constexpr uint64_t kGiB = 1ULL << 30;
constexpr int64_t kMinuteMs = 60'000;

// The numbers and their reasons: docs/policy.md.
Level untrusted_level() {
  Level level;
  level.name = "untrusted";
  level.runtimes = {BackendKind::gvisor};
  level.networks = {NetworkMode::none, NetworkMode::bridge, NetworkMode::userspace};
  level.egress_ceiling = {
      {.kind = network::Grant::Kind::any}, {.kind = network::Grant::Kind::private_ranges}, {.kind = network::Grant::Kind::dns}};
  level.defaults = {.memory_bytes = 1 * kGiB,
                    .swap_bytes = 0,
                    .cpus = 2,
                    .pids = 256,
                    .wall_ms = 5 * kMinuteMs,
                    .output_bytes = 64 * kMiB,
                    .tmpfs_bytes = 256 * kMiB,
                    .tmpfs_inodes = 65'536,
                    .open_files = 1024,
                    .file_bytes = 1 * kGiB,
                    .network_rate_bytes = 128 * kMiB,
                    .network_connections = 1024};
  level.ceilings = {.memory_bytes = 4 * kGiB,
                    .swap_bytes = 0,
                    .cpus = 4,
                    .pids = 4096,
                    .wall_ms = 60 * kMinuteMs,
                    .output_bytes = 1 * kGiB,
                    .tmpfs_bytes = 2 * kGiB,
                    .tmpfs_inodes = 1'048'576,
                    .open_files = 65'536,
                    .file_bytes = 16 * kGiB,
                    .network_rate_bytes = 1 * kGiB,
                    .network_connections = 16'384};
  level.volumes = VolumeRule::read_write;
  level.secrets = false;
  level.untrusted = true;
  return level;
}

Level trusted_level(bool root) {
  Level level;
  level.name = "trusted";
  level.runtimes = {BackendKind::native, BackendKind::gvisor};
  level.networks = {NetworkMode::none, NetworkMode::bridge, NetworkMode::userspace, NetworkMode::host};
  level.shared_networks = {"*"};
  level.egress = {{.kind = network::Grant::Kind::any}, {.kind = network::Grant::Kind::dns}};
  level.publish = PublishRule::any;
  level.defaults.tmpfs_bytes = 1 * kGiB;
  level.defaults.tmpfs_inodes = 1'048'576;
  level.defaults.open_files = 1024;
  if (root) {
    level.defaults.memory_bytes = 4 * kGiB;
    level.defaults.swap_bytes = 0;
    level.defaults.pids = 4096;
  }
  level.volumes = VolumeRule::read_write;
  level.seccomp = SeccompRule::replace;
  level.secrets = true;
  level.untrusted = false;
  return level;
}

}  // namespace

Policy builtin_policy(bool root) {
  Policy policy;
  policy.source = root ? "built-in" : "built-in, for an ordinary user";
  policy.levels.emplace("untrusted", untrusted_level());
  policy.levels.emplace("trusted", trusted_level(root));
  return policy;
}

Policy builtin_policy() { return builtin_policy(::geteuid() == 0); }

const Level* find_level(const Policy& policy, std::string_view name) {
  const auto found = policy.levels.find(std::string(name));
  return found == policy.levels.end() ? nullptr : &found->second;
}

}  // namespace bailey::dispatcher
