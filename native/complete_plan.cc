// An engine's configuration -> Plan: what it says, and nothing else. runtime-spec config.md and config-linux.md; where those
// leave something open, it is as runc and crun agree.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "bundle/engine_mount.h"
#include "native/plan.h"

namespace bailey::native {

namespace {

using dispatcher::Spec;
using Kind = RootOperation::Kind;
using bundle::NamespaceType;

constexpr std::pair<NamespaceType, uint64_t> kNamespaceFlags[] = {
    {NamespaceType::pid, CLONE_NEWPID},   {NamespaceType::mount, CLONE_NEWNS},      {NamespaceType::ipc, CLONE_NEWIPC},
    {NamespaceType::uts, CLONE_NEWUTS},   {NamespaceType::user, CLONE_NEWUSER},     {NamespaceType::network, CLONE_NEWNET},
    {NamespaceType::time, CLONE_NEWTIME}, {NamespaceType::cgroup, CLONE_NEWCGROUP},
};

uint64_t flag_of(NamespaceType type) {
  return std::ranges::find(kNamespaceFlags, type, &std::pair<NamespaceType, uint64_t>::first)->second;
}

// config-linux.md, "Default Devices"; /dev/console and /dev/ptmx are made elsewhere.
struct DefaultDevice {
  const char* path;
  unsigned major, minor;
};
constexpr DefaultDevice kDefaultDevices[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
                                             {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};
constexpr std::pair<const char*, const char*> kDeviceLinks[] = {{"/dev/fd", "/proc/self/fd"},
                                                                {"/dev/stdin", "/proc/self/fd/0"},
                                                                {"/dev/stdout", "/proc/self/fd/1"},
                                                                {"/dev/stderr", "/proc/self/fd/2"},
                                                                {"/dev/ptmx", "pts/ptmx"}};

constexpr std::pair<std::string_view, unsigned long> kRootPropagation[] = {
    {"", 0},
    {"private", MS_PRIVATE},
    {"rprivate", MS_PRIVATE | MS_REC},
    {"shared", MS_SHARED},
    {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},
    {"rslave", MS_SLAVE | MS_REC},
    {"unbindable", MS_UNBINDABLE},
    {"runbindable", MS_UNBINDABLE | MS_REC},
};

// personality(2).
constexpr unsigned long kPerLinux = 0, kPerLinux32 = 8;

class CompleteCompiler {
 public:
  CompleteCompiler(const Spec& spec, const HostTraits& host) : spec_(spec), config_(spec.config()), host_(host) {}

  Result<Plan> compile() {
    plan_.complete = true;
    refuse_what_is_not_enforced();
    compile_namespaces();
    compile_process();
    compile_root();
    TRY(compile_privileges());
    if (problems_.empty()) return std::move(plan_);
    return fail(Fault::refused, "the native backend cannot enforce: " + problems_,
                "leave it out, or choose a level that uses gvisor");
  }

 private:
  void add(RootOperation operation) { plan_.root.operations.push_back(std::move(operation)); }
  void problem(const std::string& text) { problems_.append(problems_.empty() ? "" : "; ").append(text); }
  size_t add_tree(TreeSource source) {
    plan_.root.trees.push_back(std::move(source));
    return plan_.root.trees.size() - 1;
  }
  bool makes(uint64_t flag) const { return plan_.clone_flags & flag; }
  bool joins(uint64_t flag) const { return std::ranges::find(plan_.joins, flag, &JoinedNamespace::flag) != plan_.joins.end(); }

  void refuse_what_is_not_enforced() {
    const bundle::Linux& l = config_.linux;
    if (!config_.hooks.empty()) problem("hooks");
    if (!l.mount_label.empty() || !spec_.process().selinux_label.empty())
      problem("SELinux labels, which this host does not have");
    if (!spec_.process().apparmor_profile.empty()) problem("process.apparmorProfile, because this host has no AppArmor");
    if (l.intel_rdt) problem("linux.intelRdt");
    if (!spec_.secrets().empty()) problem("secrets of Bailey's in an engine's configuration");
  }

  void compile_namespaces() {
    const auto& list = config_.linux.namespaces;
    for (size_t i = 0; i < list.size(); ++i) {
      const uint64_t flag = flag_of(list[i].type);
      if (list[i].path.empty()) plan_.clone_flags |= flag;
      else plan_.joins.push_back({flag, i});
    }
    plan_.new_cgroup_namespace = makes(CLONE_NEWCGROUP);
    plan_.clone_flags &= ~uint64_t{CLONE_NEWCGROUP};
    if (!makes(CLONE_NEWNS)) problem("a configuration without a new mount namespace");
    plan_.loopback_up = makes(CLONE_NEWNET);
    const bool own_uts = makes(CLONE_NEWUTS) || joins(CLONE_NEWUTS);
    if (own_uts) {
      plan_.hostname = config_.hostname;
      plan_.domainname = config_.domainname;
    } else if (!config_.hostname.empty() || !config_.domainname.empty()) {
      problem("a host name without a uts namespace");
    }
    for (const auto& [clock, offset] : config_.linux.time_offsets)
      plan_.time_offsets += clock + " " + std::to_string(offset.secs) + " " + std::to_string(offset.nanosecs) + "\n";
    if (!plan_.time_offsets.empty() && !makes(CLONE_NEWTIME)) problem("linux.timeOffsets without a new time namespace");
    const bundle::Linux& l = config_.linux;
    plan_.uid_mappings = l.uid_mappings;
    plan_.gid_mappings = l.gid_mappings;
    const bool mapped = !l.uid_mappings.empty() && !l.gid_mappings.empty();
    if (makes(CLONE_NEWUSER) && !mapped) problem("a new user namespace without uidMappings and gidMappings");
    if (mapped && !makes(CLONE_NEWUSER) && !joins(CLONE_NEWUSER)) problem("id mappings without a user namespace");
    plan_.ids_kind = makes(CLONE_NEWUSER) ? IdMapKind::given : IdMapKind::none;
    compile_sysctl();
  }

  // Of the namespaces that are the container's own; another one would be set for the whole host.
  void compile_sysctl() {
    const auto own = [&](uint64_t flag) { return makes(flag) || joins(flag); };
    for (const auto& [name, value] : config_.linux.sysctl) {
      std::string file = name;
      if (file.find('/') == file.npos) std::ranges::replace(file, '.', '/');
      else std::ranges::replace(file, '.', '.');
      const bool bad = file.starts_with('/') || file.find("..") != file.npos || file.empty();
      const bool ipc = file.starts_with("fs/mqueue/") || file == "kernel/msgmax" || file == "kernel/msgmnb" ||
                       file == "kernel/msgmni" || file == "kernel/sem" || file == "kernel/shmall" || file == "kernel/shmmax" ||
                       file == "kernel/shmmni" || file == "kernel/shm_rmid_forced";
      const bool uts = file == "kernel/domainname" || file == "kernel/hostname";
      const uint64_t flag = file.starts_with("net/") ? CLONE_NEWNET : ipc ? CLONE_NEWIPC : uts ? CLONE_NEWUTS : 0;
      if (bad || !flag) problem("sysctl " + name + ", which is no property of a namespace");
      else if (!own(flag)) problem("sysctl " + name + " without a namespace of its own");
      else plan_.sysctl.emplace_back("/proc/sys/" + file, value);
    }
  }

  void compile_process() {
    const bundle::Process& process = spec_.process();
    plan_.user = process.user;
    plan_.privileged = true;
    plan_.many_ids = true;
    plan_.terminal = process.terminal;
    plan_.independent = spec_.request().lifetime == dispatcher::Lifetime::independent;
    plan_.oom_score_adj = process.oom_score_adj.value_or(host_.own_oom_score);
    plan_.root.terminal_owner = process.user.uid;
    if (process.console_size) {
      plan_.root.console_rows = process.console_size->height;
      plan_.root.console_columns = process.console_size->width;
    }
    if (const auto& personality = config_.linux.personality) {
      if (personality->domain == "LINUX") plan_.personality = kPerLinux;
      else if (personality->domain == "LINUX32") plan_.personality = kPerLinux32;
      else problem("linux.personality.domain " + personality->domain);
      if (!personality->flags.empty()) problem("linux.personality.flags");
    }
  }

  void compile_root() {
    const bundle::Root& root = *config_.root;
    plan_.root.read_only = root.readonly;
    plan_.root.stage_data = "mode=0755";
    const auto propagation = std::ranges::find(kRootPropagation, std::string_view(config_.linux.rootfs_propagation),
                                               &std::pair<std::string_view, unsigned long>::first);
    if (propagation == std::end(kRootPropagation)) problem("linux.rootfsPropagation " + config_.linux.rootfs_propagation);
    else plan_.root.propagation = propagation->second;
    plan_.root.tree = static_cast<int>(add_tree({.kind = TreeSource::Kind::rootfs, .path = spec_.rootfs().real_path}));
    bool binds_dev = false, has_dev_pts = false;
    for (size_t i = 0; i < config_.mounts.size(); ++i) {
      const bundle::Mount& mount = config_.mounts[i];
      binds_dev |= mount.destination == "/dev" && dispatcher::is_bind(mount);
      has_dev_pts |= mount.destination == "/dev/pts" && mount.type == "devpts";
      compile_mount(i);
    }
    if (!binds_dev) compile_devices();
    if (plan_.terminal && has_dev_pts) {
      add({.kind = Kind::pty, .path = "/dev/pts"});
      add({.kind = Kind::console, .path = "/dev/console"});
    } else if (plan_.terminal) {
      problem("a terminal without a devpts at /dev/pts");
    }
    for (const std::string& path : config_.linux.readonly_paths) add({.kind = Kind::read_only, .path = path});
    for (const std::string& path : config_.linux.masked_paths) add({.kind = Kind::mask, .path = path});
    add({.kind = Kind::directory, .path = spec_.process().cwd});  // as runc: one that is missing is made
  }

  void compile_mount(size_t index) {
    const bundle::Mount& mount = config_.mounts[index];
    auto options = bundle::parse_engine_mount(mount.options);
    if (!options) return problem(mount.destination + ": " + options.error().message);
    const std::string& at = mount.destination;
    if (options->id_map || !mount.uid_mappings.empty() || !mount.gid_mappings.empty())
      return problem(at + ": id mappings of a mount");
    if (options->copy_up) return problem(at + ": tmpcopyup");
    if (options->remount)
      return add({.kind = Kind::remount, .path = at, .attributes = options->set, .cleared = options->clear});
    if (options->bind && !dispatcher::is_bind(mount)) return problem(at + ": a bind of type '" + mount.type + "'");
    if (dispatcher::is_bind(mount)) {
      const size_t tree = add_tree({.kind = TreeSource::Kind::volume,
                                    .path = spec_.source_of(index).real_path,
                                    .mount_index = index,
                                    .attributes = options->set_below,
                                    .cleared = options->clear_below,
                                    .own_attributes = options->set,
                                    .own_cleared = options->clear,
                                    .recursive = options->with_submounts || !options->bind,
                                    .propagation = options->propagation});
      return add({.kind = Kind::attach_tree, .path = at, .tree = tree});
    }
    if (mount.type == "cgroup" || mount.type == "cgroup2") return compile_cgroup_mount(mount, *options);
    add({.kind = Kind::file_system,
         .path = at,
         .text = mount.type,
         .source = mount.source,
         .attributes = options->set | options->set_below,
         .flags = options->file_system_flags,
         .propagation = options->propagation,
         .data = options->data});
  }

  // Each hierarchy's directory of the container, as a namespace of cgroups of its own would show it. It is made by the time
  // that its tree is cloned.
  void compile_cgroup_mount(const bundle::Mount& mount, const bundle::EngineMountOptions& options) {
    constexpr uint64_t kAttributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    const std::string& path = config_.linux.cgroups_path;
    const auto bind = [&](const host::CgroupMounts::Controller& where, const std::string& at) {
      const std::string above = where.own_path == "/" ? "" : where.own_path;
      const std::string own = path.empty() ? above + "/" + host::cgroup_name(spec_.id()) : path;
      const size_t tree =
          add_tree({.path = where.directory + own, .attributes = options.set | kAttributes, .recursive = false});
      add({.kind = Kind::attach_tree, .path = at, .tree = tree});
    };
    if (host_.cgroups.layout == host::CgroupLayout::v2) return bind(*host_.cgroups.unified, mount.destination);
    add({.kind = Kind::file_system,
         .path = mount.destination,
         .text = "tmpfs",
         .source = "tmpfs",
         .attributes = kAttributes,
         .data = "mode=755"});
    std::vector<std::string> shown;
    for (const auto& controller : host_.cgroups.controllers) {
      if (controller.v2) continue;
      const std::string name = controller.directory.substr(controller.directory.rfind('/') + 1);
      if (std::ranges::find(shown, name) == shown.end()) {
        shown.push_back(name);
        bind(controller, mount.destination + "/" + name);
      }
      if (controller.name != name)
        add({.kind = Kind::symlink, .path = mount.destination + "/" + controller.name, .text = name, .keeps = true});
    }
    if (options.set & MOUNT_ATTR_RDONLY)
      add({.kind = Kind::remount, .path = mount.destination, .attributes = MOUNT_ATTR_RDONLY});
  }

  // A user namespace may make no device nodes (mknod(2)): there the host's are bound.
  void compile_devices() {
    std::vector<bundle::Device> devices;
    for (const DefaultDevice& device : kDefaultDevices)
      devices.push_back({.path = device.path, .type = "c", .major = device.major, .minor = device.minor, .file_mode = 0666});
    for (const bundle::Device& device : config_.linux.devices) {
      std::erase_if(devices, [&](const bundle::Device& other) { return other.path == device.path; });
      devices.push_back(device);
    }
    for (const bundle::Device& device : devices) compile_device(device);
    for (const auto& [path, target] : kDeviceLinks) add({.kind = Kind::symlink, .path = path, .text = target, .keeps = true});
  }

  void compile_device(const bundle::Device& device) {
    const bool pipe = device.type == "p", block = device.type == "b", character = device.type == "c" || device.type == "u";
    if (!pipe && !block && !character) return problem("device " + device.path + " of type '" + device.type + "'");
    if (!pipe && (makes(CLONE_NEWUSER) || joins(CLONE_NEWUSER))) {
      const size_t tree = add_tree({.kind = TreeSource::Kind::device,
                                    .path = device.path,
                                    .recursive = false,
                                    .device_major = static_cast<unsigned>(device.major),
                                    .device_minor = static_cast<unsigned>(device.minor)});
      return add({.kind = Kind::attach_tree, .path = device.path, .tree = tree});
    }
    const mode_t type = pipe ? S_IFIFO : block ? S_IFBLK : S_IFCHR;
    add({.kind = Kind::node,
         .path = device.path,
         .mode = type | (device.file_mode.value_or(0666) & 07777),
         .device = pipe ? 0 : ::makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor)),
         .owner = device.uid.value_or(0),
         .group = device.gid.value_or(0)});
  }

  Result<> compile_privileges() {
    const bundle::Process& process = spec_.process();
    plan_.caps = CapsPlan{TRY(bundle::parse_engine_capabilities(process.capabilities)), 0};
    plan_.no_new_privileges = process.no_new_privileges;
    plan_.landlock.why_off = "an engine's configuration asks for none";
    plan_.seccomp = engine_seccomp_plan(TRY(dispatcher::compile_engine_filter(config_.linux.seccomp)));
    return {};
  }

  const Spec& spec_;
  const bundle::Config& config_;
  const HostTraits host_;
  Plan plan_;
  std::string problems_;
};

}  // namespace

Result<Plan> compile_complete(const Spec& spec, const HostTraits& host) { return CompleteCompiler(spec, host).compile(); }

}  // namespace bailey::native
