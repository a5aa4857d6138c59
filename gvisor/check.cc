#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "bundle/engine_mount.h"
#include "dispatcher/limits.h"
#include "gvisor/plan.h"

namespace bailey::gvisor {

namespace {

using dispatcher::Spec;

bool starts_with_path(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

// Masks and read-only paths below /proc and /sys protect the host's kernel. Here both are file systems of the sandbox's own
// kernel, which has nothing of the host in them, and none of whose settings reaches the host: there is nothing to do.
bool belongs_to_own_kernel(std::string_view path) {
  const bool plain = path.find("/../") == path.npos && !path.ends_with("/..");
  return plain && (starts_with_path(path, "/proc") || starts_with_path(path, "/sys"));
}

bool known_mount(const bundle::Mount& mount) {
  constexpr std::array kTypes = {"proc", "tmpfs", "devpts", "mqueue", "sysfs"};
  return is_bind(mount) || std::ranges::find(kTypes, mount.type) != kTypes.end();
}

// An ordinary user has one id to give, and it is 0 inside (spawn.cc). What the workload makes in a volume as anybody else would
// have no owner.
bool lacks_owner(const Spec& spec, const bundle::Mount& mount) {
  const bundle::User& user = spec.process().user;
  const auto read_only = [](const std::string& option) { return option == "ro" || option == "rro"; };
  return spec.caller_uid() != 0 && (user.uid != 0 || user.gid != 0) && is_bind(mount) &&
         std::ranges::none_of(mount.options, read_only);
}

// /bin/true takes 22 MiB of sentry; with 16 MiB it fails, with 20 it runs.
constexpr uint64_t kLeastMemory = 32ULL << 20;

class Refusals {
 public:
  void add_if(bool refused, std::string_view what) {
    if (refused) text_.append(text_.empty() ? "" : "; ").append(what);
  }
  Result<> finish() {
    if (text_.empty()) return {};
    return fail(Fault::refused, "gVisor cannot enforce: " + text_,
                "leave it out, or use a level that may use the native runtime");
  }

 private:
  std::string text_;
};

}  // namespace

Result<> check_memory(const Spec& spec) {
  const dispatcher::Limit& limit = *dispatcher::find_limit("memory");
  if (const auto memory = spec.limits().memory_bytes; memory && *memory < kLeastMemory)
    return fail(Fault::refused,
                "memory " + dispatcher::format_limit(limit, *memory) + " is below what gVisor's own kernel needs",
                "--memory " + dispatcher::format_limit(limit, kLeastMemory) + " or more");
  return {};
}

namespace {

// Of an engine's configuration. Its capabilities, masks of /proc and /sys, device rules and default devices are those of
// gVisor's own kernel.
Result<> check_complete(const Spec& spec, const Traits& traits) {
  const bundle::Config& config = spec.config();
  const bundle::Linux& linux_part = config.linux;
  Refusals refusals;
  refusals.add_if(!traits.passes_fds(), "an engine's container, with this build of runsc");
  refusals.add_if(!config.hooks.empty(), "hooks");
  refusals.add_if(!linux_part.devices.empty(), "devices of the host");
  refusals.add_if(!linux_part.mount_label.empty() || !spec.process().selinux_label.empty(), "SELinux labels");
  refusals.add_if(!spec.process().apparmor_profile.empty(), "AppArmor profiles");
  refusals.add_if(!linux_part.sysctl.empty(), "sysctl settings");
  refusals.add_if(!linux_part.uid_mappings.empty() || !linux_part.gid_mappings.empty(), "id mappings");
  refusals.add_if(linux_part.rootfs_propagation.ends_with("shared"), "rootfsPropagation " + linux_part.rootfs_propagation);
  refusals.add_if(linux_part.intel_rdt.has_value(), "intelRdt");
  refusals.add_if(linux_part.personality.has_value(), "a personality");
  refusals.add_if(!linux_part.time_offsets.empty(), "time offsets");
  for (const bundle::Namespace& entry : linux_part.namespaces)
    refusals.add_if(
        entry.type == bundle::NamespaceType::time || (!entry.path.empty() && entry.type != bundle::NamespaceType::network),
        entry.path.empty() ? "a time namespace" : "the existing namespace " + entry.path);
  for (const auto* paths : {&linux_part.masked_paths, &linux_part.readonly_paths})
    for (const std::string& path : *paths)
      refusals.add_if(!belongs_to_own_kernel(path), "the masked or read-only path " + path);
  for (const bundle::Mount& mount : config.mounts) {
    refusals.add_if(!known_mount(mount) && !mount.type.starts_with("cgroup"),
                    "the mount of type '" + mount.type + "' at " + mount.destination);
    const auto options = bundle::parse_engine_mount(mount.options);
    if (!options) refusals.add_if(true, mount.destination + ": " + options.error().message);
    const bool changed = options && (options->id_map || options->copy_up || options->remount);
    refusals.add_if(changed || !mount.uid_mappings.empty() || !mount.gid_mappings.empty(),
                    "id mappings, tmpcopyup or remount of the mount at " + mount.destination);
  }
  return refusals.finish();
}

}  // namespace

Result<> check_plan(const Spec& spec, const Traits& traits) {
  if (spec.request().shape == dispatcher::Shape::complete) return check_complete(spec, traits);
  const bundle::Config& config = spec.config();
  const bundle::Process& process = spec.process();
  const bundle::Linux& linux_part = config.linux;
  Refusals refusals;

  // Those of an engine's are its own notes; config.json carries none of them.
  refusals.add_if(spec.request().shape == dispatcher::Shape::run && !config.annotations.empty(),
                  "annotations, which are commands to runsc");
  refusals.add_if(!config.hooks.empty(), "hooks");
  refusals.add_if(!process.capabilities.empty(), "added capabilities");
  refusals.add_if(!process.apparmor_profile.empty() || !process.selinux_label.empty() || !linux_part.mount_label.empty(),
                  "AppArmor profiles and SELinux labels");
  refusals.add_if(!linux_part.devices.empty(), "devices of the host");
  refusals.add_if(!linux_part.sysctl.empty(), "sysctl settings");
  refusals.add_if(linux_part.seccomp.has_value(), "a seccomp profile (its errno values are ignored)");
  refusals.add_if(spec.request().seccomp_log != dispatcher::SeccompLog::off,
                  "--seccomp-log (gVisor's own kernel serves the calls, no filter of ours sees them)");
  refusals.add_if(linux_part.intel_rdt.has_value(), "intelRdt");
  refusals.add_if(linux_part.personality.has_value(), "a personality");
  refusals.add_if(!linux_part.time_offsets.empty(), "time offsets");
  refusals.add_if(!linux_part.uid_mappings.empty() || !linux_part.gid_mappings.empty(), "id mappings");
  refusals.add_if(!config.domainname.empty() && traits.oci_version.starts_with("1.0"), "domainname, with this build of runsc");
  refusals.add_if(spec.request().limits.tmpfs_inodes.has_value(), "a limit of tmpfs inodes (the memory limit bounds them)");
  refusals.add_if(!linux_part.rootfs_propagation.empty() && linux_part.rootfs_propagation != "private" &&
                      linux_part.rootfs_propagation != "rprivate",
                  "rootfsPropagation " + linux_part.rootfs_propagation);
  for (const bundle::Namespace& entry : linux_part.namespaces) {
    refusals.add_if(!entry.path.empty(), "the existing namespace " + entry.path);
    refusals.add_if(entry.type == bundle::NamespaceType::time, "a time namespace");
  }
  for (const auto* paths : {&linux_part.masked_paths, &linux_part.readonly_paths})
    for (const std::string& path : *paths)
      refusals.add_if(!belongs_to_own_kernel(path), "the masked or read-only path " + path);
  // runsc reads its configuration as JSON, where such bytes would be others.
  const auto not_utf8 = [&](const std::string& text, std::string_view what) {
    refusals.add_if(!utf8::is_valid(text), std::string(what) + " '" + text + "', whose bytes are not UTF-8");
  };
  not_utf8(config.hostname, "the host name");
  not_utf8(config.domainname, "the domain name");
  for (const secrets::Request& secret : spec.secrets()) not_utf8(secret.destination, "a secret at");
  for (const bundle::Mount& mount : config.mounts) {
    not_utf8(mount.destination, is_bind(mount) ? "a volume at" : "a mount (the home?) at");
    refusals.add_if(!known_mount(mount), "the mount of type '" + mount.type + "' at " + mount.destination);
    refusals.add_if(lacks_owner(spec, mount),
                    "writes of uid " + std::to_string(process.user.uid) + " to the volume " + mount.destination +
                        " (for an ordinary user only uid 0 inside is the caller: drop --user, or make the volume :ro)");
    refusals.add_if(!mount.uid_mappings.empty() || !mount.gid_mappings.empty(),
                    "id mappings of the mount at " + mount.destination);
  }
  return refusals.finish();
}

}  // namespace bailey::gvisor
