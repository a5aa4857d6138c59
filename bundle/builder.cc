#include "bundle/builder.h"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bailey::bundle {

namespace {

constexpr int kOomScoreAdj = 500;  // under memory pressure the host loses workloads before anything else
constexpr uint32_t kUmask = 022;
constexpr const char* kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Docker's list, and what else of /proc tells of the host or of other processes: addresses of the kernel, its command line,
// keys of other users, disks and their journals, the load. Of other sandboxes: locks (whoever holds one writes to everybody),
// the number of cgroups.
constexpr const char* kMaskedPaths[] = {
    "/proc/acpi",        "/proc/asound",      "/proc/cgroups",       "/proc/cmdline", "/proc/config.gz", "/proc/diskstats",
    "/proc/fs",          "/proc/interrupts",  "/proc/iomem",         "/proc/irq",     "/proc/kallsyms",  "/proc/kcore",
    "/proc/key-users",   "/proc/keys",        "/proc/latency_stats", "/proc/locks",   "/proc/modules",   "/proc/pagetypeinfo",
    "/proc/partitions",  "/proc/pressure",    "/proc/sched_debug",   "/proc/scsi",    "/proc/slabinfo",  "/proc/timer_list",
    "/proc/timer_stats", "/proc/vmallocinfo",
};
// The host has 4096 for everybody (kernel.pty.max), of which an instance takes as many as it likes.
constexpr const char* kMaxTerminals = "max=256";
constexpr const char* kReadonlyPaths[] = {"/proc/bus", "/proc/sys", "/proc/sysrq-trigger"};

bool has_destination(const Config& config, std::string_view path) {
  return std::ranges::any_of(config.mounts, [&](const Mount& mount) { return mount.destination == path; });
}

bool is_below(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) && (directory == "/" || path[directory.size()] == '/');
}

std::string_view variable(const Process& process, std::string_view name) {
  for (std::string_view entry : process.env)
    if (entry.starts_with(name) && entry.substr(name.size()).starts_with('=')) return entry.substr(name.size() + 1);
  return {};
}

void set_when_absent(Process& process, std::string_view name, std::string_view value) {
  const auto is_name = [&](std::string_view entry) { return entry.substr(0, entry.find('=')) == name; };
  if (std::ranges::none_of(process.env, is_name)) process.env.push_back(std::string(name).append("=").append(value));
}

void complete_process(Process& process) {
  set_when_absent(process, "PATH", kPath);
  set_when_absent(process, "HOME", process.user.uid == 0 ? "/root" : "/home/user");
  set_when_absent(process, "LANG", "C.UTF-8");
  if (!process.user.umask) process.user.umask = kUmask;  // not the 077 of Bailey itself
  process.no_new_privileges = true;
  if (std::ranges::none_of(process.rlimits, [](const Rlimit& limit) { return limit.type == "RLIMIT_CORE"; }))
    process.rlimits.push_back({.type = "RLIMIT_CORE", .soft = 0, .hard = 0});
  if (!process.oom_score_adj) process.oom_score_adj = kOomScoreAdj;
}

std::vector<std::string> tmpfs_options(std::vector<std::string> options, const RunDefaults& defaults) {
  if (defaults.tmpfs_bytes) options.push_back("size=" + std::to_string(defaults.tmpfs_bytes));
  if (defaults.tmpfs_inodes) options.push_back("nr_inodes=" + std::to_string(defaults.tmpfs_inodes));
  return options;
}

// For pid files and sockets of whoever runs there, which is why it is theirs.
std::vector<std::string> run_options(const Config& config) {
  const User user = config.process ? config.process->user : User{};
  return {"nosuid",
          "nodev",
          "noexec",
          "mode=0755",
          "size=1m",
          "nr_inodes=256",
          "uid=" + std::to_string(user.uid),
          "gid=" + std::to_string(user.gid)};
}

// A home that can be a mount of its own: absolute and plain, not the root, not where the system's directories
// are, and not inside a volume, where the mount point would have to be made in the caller's files.
bool may_mount_home(const Config& config, std::string_view home) {
  constexpr std::string_view kSystem[] = {"/bin",    "/dev",  "/etc", "/lib",  "/lib32", "/lib64",
                                          "/libx32", "/proc", "/run", "/sbin", "/sys",   "/usr"};
  if (home.size() < 2 || home.front() != '/' || home.back() == '/') return false;
  constexpr size_t kMostBytes = 4000, kMostOfAPart = 255;  // what lies in it has a name as well
  const std::string closed = std::string(home) + "/";
  for (size_t begin = 1, end = 0; (end = closed.find('/', begin)) != std::string::npos; begin = end + 1)
    if (end - begin > kMostOfAPart || end > kMostBytes) return false;
  for (const char* part : {"//", "/./", "/../"})
    if (closed.find(part) != std::string::npos) return false;
  const auto holds_home = [&](std::string_view directory) { return home == directory || is_below(home, directory); };
  return std::ranges::none_of(kSystem, holds_home) &&
         std::ranges::none_of(config.mounts, [&](const Mount& mount) { return holds_home(mount.destination); });
}

std::vector<Mount> standard_mounts(const Config& config, const RunDefaults& defaults) {
  std::vector<Mount> mounts;
  mounts.reserve(8);
  const auto add = [&](const char* type, std::string destination, std::vector<std::string> options) {
    if (has_destination(config, destination)) return;
    mounts.push_back({.destination = std::move(destination),
                      .type = type,
                      .source = type,
                      .options = std::move(options),
                      .uid_mappings = {},
                      .gid_mappings = {}});
  };
  add("proc", "/proc", {"nosuid", "nodev", "noexec"});
  add("tmpfs", "/dev", {"nosuid", "noexec", "mode=0755", "size=64k", "nr_inodes=64"});
  add("devpts", "/dev/pts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", kMaxTerminals});
  add("tmpfs", "/dev/shm", tmpfs_options({"nosuid", "nodev", "noexec", "mode=1777"}, defaults));
  add("mqueue", "/dev/mqueue", {"nosuid", "nodev", "noexec"});
  add("tmpfs", "/tmp", tmpfs_options({"nosuid", "nodev", "mode=1777"}, defaults));
  if (defaults.secrets || !config.root) add("tmpfs", "/run", run_options(config));
  if (config.process) {
    std::string_view name = variable(*config.process, "HOME");
    if (name.ends_with('/')) name.remove_suffix(1);
    const std::string home(name);
    const User& user = config.process->user;
    if (may_mount_home(config, home) && home != "/tmp")
      add("tmpfs", home,
          tmpfs_options({"nosuid", "nodev", "mode=0700", "uid=" + std::to_string(user.uid), "gid=" + std::to_string(user.gid)},
                        defaults));
  }
  return mounts;
}

void complete_linux(Linux& linux, const RunDefaults& defaults) {
  const auto add_namespace = [&](NamespaceType type) {
    const auto is_type = [&](const Namespace& space) { return space.type == type; };
    if (std::ranges::none_of(linux.namespaces, is_type)) linux.namespaces.push_back({type, ""});
  };
  using enum NamespaceType;
  for (NamespaceType type : {pid, mount, ipc, uts, user, cgroup}) add_namespace(type);
  if (!defaults.host_network) add_namespace(network);

  const auto add_paths = [](std::vector<std::string>& paths, std::span<const char* const> more) {
    const std::vector<std::string> given = paths;
    paths.reserve(given.size() + more.size());
    for (const char* path : more)
      if (std::ranges::find(given, path) == given.end()) paths.emplace_back(path);
  };
  add_paths(linux.masked_paths, kMaskedPaths);
  add_paths(linux.readonly_paths, kReadonlyPaths);
}

}  // namespace

void add_run_defaults(Config& config, const RunDefaults& defaults) {
  if (config.process) complete_process(*config.process);
  if (config.hostname.empty()) config.hostname = "bailey";
  std::vector<Mount> mounts = standard_mounts(config, defaults);
  config.mounts.insert(config.mounts.begin(), std::make_move_iterator(mounts.begin()), std::make_move_iterator(mounts.end()));
  complete_linux(config.linux, defaults);
}

}  // namespace bailey::bundle
