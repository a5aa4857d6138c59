// The OCI runtime configuration (runtime-spec 1.2, config.md and config-linux.md) as plain data: the one currency of Bailey.
// Names are the specification's, in snake_case. bundle/ describes a sandbox and touches no kernel:
//
//   config.h  these types            reader.h  config.json -> Config      writer.h  Config -> JSON
//   builder.h run's defaults         host_rootfs.h  the root made of the host's /usr      bundle_dir.h  a bundle on disk
//
// Absent optional = absent in the document. Nothing here validates: the reader checks form, the guards check meaning.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bailey::bundle {

inline constexpr const char* kOciVersion = "1.2.0";

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::optional<uint32_t> umask;
  std::vector<uint32_t> additional_gids;
  friend bool operator==(const User&, const User&) = default;
};

struct ConsoleSize {
  uint32_t height = 0;
  uint32_t width = 0;
  friend bool operator==(const ConsoleSize&, const ConsoleSize&) = default;
};

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  uint64_t soft = 0;
  uint64_t hard = 0;
  friend bool operator==(const Rlimit&, const Rlimit&) = default;
};

struct Capabilities {  // names: "CAP_NET_BIND_SERVICE"
  std::vector<std::string> bounding, effective, inheritable, permitted, ambient;
  bool empty() const {
    return bounding.empty() && effective.empty() && inheritable.empty() && permitted.empty() && ambient.empty();
  }
  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

struct Process {
  std::vector<std::string> args;
  std::vector<std::string> env;  // KEY=VALUE
  std::string cwd = "/";
  User user;
  bool terminal = false;
  std::optional<ConsoleSize> console_size;
  Capabilities capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::optional<int> oom_score_adj;
  std::string apparmor_profile;
  std::string selinux_label;
  friend bool operator==(const Process&, const Process&) = default;
};

struct Root {
  std::string path;
  bool readonly = false;
  friend bool operator==(const Root&, const Root&) = default;
};

struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;
  friend bool operator==(const IdMapping&, const IdMapping&) = default;
};

struct Mount {
  std::string destination;
  std::string type;  // "bind", "tmpfs", "proc", ...; "" counts as bind when the options say so
  std::string source;
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  friend bool operator==(const Mount&, const Mount&) = default;
};

struct Hook {
  std::string path;
  std::vector<std::string> args, env;
  std::optional<int64_t> timeout_seconds;
  friend bool operator==(const Hook&, const Hook&) = default;
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart, poststop;
  bool empty() const {
    return prestart.empty() && create_runtime.empty() && create_container.empty() && start_container.empty() &&
           poststart.empty() && poststop.empty();
  }
  friend bool operator==(const Hooks&, const Hooks&) = default;
};

enum class NamespaceType { pid, network, mount, ipc, uts, user, cgroup, time };

struct Namespace {
  NamespaceType type = NamespaceType::pid;
  std::string path;  // empty: a new one
  friend bool operator==(const Namespace&, const Namespace&) = default;
};

struct Device {
  std::string path;
  std::string type;  // "c", "b", "u", "p"
  int64_t major = 0, minor = 0;
  std::optional<uint32_t> file_mode, uid, gid;
  friend bool operator==(const Device&, const Device&) = default;
};

struct DeviceRule {
  bool allow = false;
  std::string type;  // "a", "c", "b"
  std::optional<int64_t> major, minor;
  std::string access;  // of "rwm"
  friend bool operator==(const DeviceRule&, const DeviceRule&) = default;
};

// -1 means unlimited wherever the specification says so. swap is memory plus swap, as in cgroup v1.
struct MemoryResources {
  std::optional<int64_t> limit, reservation, swap, kernel, kernel_tcp;
  std::optional<uint64_t> swappiness;
  std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
  friend bool operator==(const MemoryResources&, const MemoryResources&) = default;
};

struct CpuResources {
  std::optional<uint64_t> shares;
  std::optional<int64_t> quota;  // microseconds per period
  std::optional<uint64_t> burst, period;
  std::optional<int64_t> realtime_runtime;
  std::optional<uint64_t> realtime_period;
  std::string cpus, mems;
  std::optional<int64_t> idle;
  friend bool operator==(const CpuResources&, const CpuResources&) = default;
};

struct BlockIoWeight {
  int64_t major = 0, minor = 0;
  std::optional<uint16_t> weight, leaf_weight;
  friend bool operator==(const BlockIoWeight&, const BlockIoWeight&) = default;
};

struct BlockIoThrottle {
  int64_t major = 0, minor = 0;
  uint64_t rate = 0;
  friend bool operator==(const BlockIoThrottle&, const BlockIoThrottle&) = default;
};

struct BlockIoResources {
  std::optional<uint16_t> weight, leaf_weight;
  std::vector<BlockIoWeight> weight_device;
  std::vector<BlockIoThrottle> read_bps, write_bps, read_iops, write_iops;
  friend bool operator==(const BlockIoResources&, const BlockIoResources&) = default;
};

struct HugepageLimit {
  std::string page_size;
  uint64_t limit = 0;
  friend bool operator==(const HugepageLimit&, const HugepageLimit&) = default;
};

struct InterfacePriority {
  std::string name;
  uint32_t priority = 0;
  friend bool operator==(const InterfacePriority&, const InterfacePriority&) = default;
};

struct NetworkResources {
  std::optional<uint32_t> class_id;
  std::vector<InterfacePriority> priorities;
  friend bool operator==(const NetworkResources&, const NetworkResources&) = default;
};

struct RdmaLimit {
  std::optional<uint32_t> hca_handles, hca_objects;
  friend bool operator==(const RdmaLimit&, const RdmaLimit&) = default;
};

struct Resources {
  std::vector<DeviceRule> devices;
  MemoryResources memory;
  CpuResources cpu;
  std::optional<int64_t> pids_limit;
  BlockIoResources block_io;
  std::vector<HugepageLimit> hugepage_limits;
  NetworkResources network;
  std::map<std::string, RdmaLimit> rdma;
  std::map<std::string, std::string> unified;  // cgroup v2 file -> value
  friend bool operator==(const Resources&, const Resources&) = default;
};

struct SeccompArg {
  uint32_t index = 0;
  uint64_t value = 0, value_two = 0;
  std::string op;  // "SCMP_CMP_MASKED_EQ"
  friend bool operator==(const SeccompArg&, const SeccompArg&) = default;
};

struct SeccompRule {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ERRNO"
  std::optional<uint32_t> errno_ret;
  std::vector<SeccompArg> args;
  friend bool operator==(const SeccompRule&, const SeccompRule&) = default;
};

struct Seccomp {
  std::string default_action;
  std::optional<uint32_t> default_errno_ret;
  std::vector<std::string> architectures, flags;
  std::string listener_path, listener_metadata;
  std::vector<SeccompRule> syscalls;
  friend bool operator==(const Seccomp&, const Seccomp&) = default;
};

struct TimeOffset {
  int64_t secs = 0;
  uint32_t nanosecs = 0;
  friend bool operator==(const TimeOffset&, const TimeOffset&) = default;
};

struct IntelRdt {
  std::string clos_id, l3_cache_schema, mem_bw_schema;
  bool enable_cmt = false, enable_mbm = false;
  friend bool operator==(const IntelRdt&, const IntelRdt&) = default;
};

struct Personality {
  std::string domain;
  std::vector<std::string> flags;
  friend bool operator==(const Personality&, const Personality&) = default;
};

struct Linux {
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::vector<Device> devices;
  std::string cgroups_path;
  Resources resources;
  std::string rootfs_propagation;
  std::optional<Seccomp> seccomp;
  std::map<std::string, std::string> sysctl;
  std::vector<std::string> masked_paths, readonly_paths;
  std::string mount_label;
  std::optional<IntelRdt> intel_rdt;
  std::optional<Personality> personality;
  std::map<std::string, TimeOffset> time_offsets;  // "monotonic", "boottime"
  friend bool operator==(const Linux&, const Linux&) = default;
};

struct Config {
  std::string oci_version = kOciVersion;
  std::optional<Process> process;
  std::optional<Root> root;
  std::vector<Mount> mounts;
  std::string hostname, domainname;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  Linux linux;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace bailey::bundle
