#include "native/plan.h"

#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "bundle/host_rootfs.h"
#include "native/identity/wanted_ids.h"
#include "native/root/mount_options.h"

namespace bailey::native {

namespace {

using dispatcher::Spec;
using Kind = RootOperation::Kind;

// Read-only holds for the node, not for the device: its times on the host stay as they are.
constexpr uint64_t kDeviceMount = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
using Within = RootOperation::Within;

constexpr uint64_t kUserMount = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

struct HostDevice {
  const char* name;
  unsigned major, minor;
};
// Documentation/admin-guide/devices.txt; what OCI config-linux.md calls the default devices, without console.
constexpr HostDevice kDevices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                                   {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
constexpr std::pair<const char*, const char*> kDeviceLinks[] = {{"/dev/fd", "/proc/self/fd"},
                                                                {"/dev/stdin", "/proc/self/fd/0"},
                                                                {"/dev/stdout", "/proc/self/fd/1"},
                                                                {"/dev/stderr", "/proc/self/fd/2"},
                                                                {"/dev/ptmx", "pts/ptmx"}};

// What masks, seal and secrets find again by name. With a link on the way, a hostile root could lead them elsewhere than the
// mount, by links through places that are covered in between, and have a /proc without masks.
bool is_our_own(std::string_view path) {
  constexpr std::string_view kOwn[] = {"/proc", "/dev", "/run"};
  return std::ranges::any_of(kOwn, [&](std::string_view own) {
    return path.starts_with(own) && (path.size() == own.size() || path[own.size()] == '/');
  });
}

class Compiler {
 public:
  Compiler(const Spec& spec, const HostTraits& host, const bundle::NetworkNames& names)
      : spec_(spec), config_(spec.config()), host_(host), names_(names) {
    plan_.root.operations.reserve(kUsualOperations);
  }

  Result<Plan> compile() {
    refuse_what_is_not_enforced();
    compile_namespaces();
    compile_identity();
    TRY(compile_root());
    for (size_t i = 0; i < config_.mounts.size(); ++i)
      if (auto done = compile_mount(i); !done) problem(std::move(done).error().with(config_.mounts[i].destination));
    compile_secrets();
    for (const std::string& path : config_.linux.masked_paths) add({.kind = Kind::mask, .path = path, .within = within(path)});
    for (const std::string& path : config_.linux.readonly_paths)
      add({.kind = Kind::read_only, .path = path, .within = within(path)});
    if (plan_.terminal) add({.kind = Kind::pty, .path = "/dev/pts"});
    if (has_dev_) add({.kind = Kind::seal, .path = "/dev", .within = Within::own_dev});
    compile_privileges();
    // The guard refuses it for an untrusted level; here it could not open one either.
    const auto rule = spec_.level().untrusted ? dispatcher::SeccompRule::narrow : spec_.level().seccomp;
    plan_.seccomp = TRY(compile_seccomp_plan(config_.linux.seccomp, rule, spec_.request().seccomp_log));
    if (!problems_.empty())
      return fail(Fault::refused, "the native backend cannot enforce: " + problems_, "drop it, or use --runtime gvisor");
    return std::move(plan_);
  }

 private:
  void add(RootOperation operation) { plan_.root.operations.push_back(std::move(operation)); }

  void problem(const Error& error) { problems_.append(problems_.empty() ? "" : "; ").append(error.message); }
  void problem(std::string text) { problem(Error{.message = std::move(text)}); }

  void refuse_what_is_not_enforced() {
    const bundle::Linux& l = config_.linux;
    if (!config_.hooks.empty()) problem("hooks");
    if (!l.devices.empty()) problem("linux.devices");
    if (!l.sysctl.empty()) problem("linux.sysctl");
    if (!l.uid_mappings.empty() || !l.gid_mappings.empty())
      problem("linux.uidMappings and gidMappings (each sandbox has a range of its own)");
    if (!l.mount_label.empty()) problem("linux.mountLabel");
    if (l.intel_rdt) problem("linux.intelRdt");
    if (l.personality) problem("linux.personality");
    if (!l.time_offsets.empty()) problem("linux.timeOffsets");
    if (!l.rootfs_propagation.empty() && l.rootfs_propagation != "private" && l.rootfs_propagation != "rprivate")
      problem("linux.rootfsPropagation " + l.rootfs_propagation);
    if (!spec_.process().apparmor_profile.empty()) problem("process.apparmorProfile");
    if (!spec_.process().selinux_label.empty()) problem("process.selinuxLabel");
  }

  void compile_namespaces() {
    struct Flag {
      bundle::NamespaceType type;
      uint64_t flag;
    };
    constexpr Flag kFlags[] = {{bundle::NamespaceType::pid, CLONE_NEWPID},   {bundle::NamespaceType::mount, CLONE_NEWNS},
                               {bundle::NamespaceType::ipc, CLONE_NEWIPC},   {bundle::NamespaceType::uts, CLONE_NEWUTS},
                               {bundle::NamespaceType::user, CLONE_NEWUSER}, {bundle::NamespaceType::network, CLONE_NEWNET}};
    plan_.new_cgroup_namespace = false;
    for (const bundle::Namespace& ns : config_.linux.namespaces) {
      if (!ns.path.empty()) problem("joining the namespace " + ns.path);
      if (ns.type == bundle::NamespaceType::cgroup) plan_.new_cgroup_namespace = true;
      if (ns.type == bundle::NamespaceType::time) problem("a time namespace");
      for (const Flag& known : kFlags)
        if (known.type == ns.type) plan_.clone_flags |= known.flag;
    }
    for (const uint64_t always : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS})
      plan_.clone_flags |= always;
    if (spec_.request().network != dispatcher::NetworkMode::host)
      plan_.clone_flags |= CLONE_NEWNET;  // whatever an engine lists
    plan_.joins_network = dispatcher::is_filtered(spec_.request().network);
    if (plan_.joins_network) plan_.clone_flags &= ~uint64_t{CLONE_NEWNET};
    plan_.loopback_up = plan_.clone_flags & CLONE_NEWNET;
    plan_.hostname = config_.hostname;
    plan_.domainname = config_.domainname;
  }

  void compile_identity() {
    const bundle::Process& process = spec_.process();
    plan_.user = process.user;
    plan_.root.terminal_owner = process.user.uid;
    plan_.ids_kind = host_.ids;
    plan_.privileged = host_.ids == IdMapKind::own_range;
    plan_.many_ids = host_.ids != IdMapKind::single;
    plan_.terminal = process.terminal;
    plan_.independent = spec_.request().lifetime == dispatcher::Lifetime::independent;
    if (!plan_.many_ids && !process.user.additional_gids.empty())
      problem(
          "additional groups (this user has one group id to give: no range in /etc/subuid and /etc/subgid that works, or "
          "--net userspace)");
    // Without CAP_SYS_RESOURCE nobody may lower it (proc(5)): a default below our own gives way, a wish does not.
    const std::optional<bundle::Process>& asked = spec_.request().config.process;
    plan_.oom_score_adj = process.oom_score_adj.value_or(kWorkloadOomScore);
    if (!asked || !asked->oom_score_adj) plan_.oom_score_adj = std::max(plan_.oom_score_adj, host_.own_oom_score);
    if (process.console_size) {
      plan_.root.console_rows = process.console_size->height;
      plan_.root.console_columns = process.console_size->width;
    }
    std::vector<std::string> faults;
    plan_.ids = find_wanted_ids(spec_, plan_.many_ids, faults);
    for (std::string& fault : faults) problem(std::move(fault));
  }

  Result<> compile_root() {
    plan_.root.read_only = spec_.request().root_writes == dispatcher::Writes::refuse;
    std::vector<std::pair<std::string, std::string>> options = {{"mode", "0755"}};
    const dispatcher::LimitValues& limits = spec_.limits();
    if (limits.tmpfs_bytes) options.emplace_back("size", std::to_string(*limits.tmpfs_bytes));
    if (limits.tmpfs_inodes) options.emplace_back("nr_inodes", std::to_string(*limits.tmpfs_inodes));
    plan_.root.data = plan_.root.stage_data = mount_data(options);
    if (!spec_.host_rootfs()) {
      plan_.root.overlay = true;
      plan_.root.tree = static_cast<int>(add_tree({.kind = TreeSource::Kind::rootfs,
                                                   .path = spec_.rootfs().real_path,
                                                   .attributes = kUserMount | MOUNT_ATTR_RDONLY,
                                                   .recursive = false,
                                                   .id_mapped = host_.ids == IdMapKind::own_range}));
      if (!plan_.joins_network) return {};
      for (bundle::RootEntry& entry : bundle::network_entries(config_, names_))
        add({.kind = Kind::file, .path = "/" + entry.path, .text = std::move(entry.text), .mode = entry.mode});
      return {};
    }
    bundle::HostRootOptions root{.tree = host_.tree, .own_sys = true, .writable = !plan_.root.read_only};
    for (const secrets::Request& secret : spec_.secrets()) root.places.push_back(secret.destination);
    for (bundle::RootEntry& entry : TRY(bundle::host_root_entries(config_, names_, root))) add_root_entry(std::move(entry));
    return {};
  }

  void add_root_entry(bundle::RootEntry entry) {
    using Entry = bundle::RootEntry::Kind;
    std::string path = "/" + entry.path;
    switch (entry.kind) {
      case Entry::directory:
        own_directories_.push_back(path);
        return add_own({.kind = Kind::directory, .path = path, .mode = entry.mode});
      case Entry::symlink: return add_own({.kind = Kind::symlink, .path = std::move(path), .text = std::move(entry.text)});
      case Entry::file:
        return add_own({.kind = Kind::file, .path = std::move(path), .text = std::move(entry.text), .mode = entry.mode});
      case Entry::file_over:
        return add_own({.kind = Kind::file_over, .path = path, .text = std::move(entry.text), .mode = entry.mode});
      case Entry::bind_directory:
      case Entry::bind_file:
        const size_t tree = add_tree({.path = std::move(entry.text), .attributes = kUserMount | MOUNT_ATTR_RDONLY});
        return add_own({.kind = Kind::attach_tree, .path = std::move(path), .tree = tree});
    }
  }

  Result<> compile_mount(size_t index) {
    const bundle::Mount& mount = config_.mounts[index];
    MountOptions options = TRY(parse_mount_options(mount.options));
    if (!mount.uid_mappings.empty() || !mount.gid_mappings.empty()) return fail(Fault::refused, "id mappings of a mount");
    if (options.bind || mount.type == "bind") {
      const dispatcher::OpenedSource& source = spec_.source_of(index);
      if (!source.fd) return fail(Fault::failed, "its source was not opened");
      const bool writable = !(options.set & MOUNT_ATTR_RDONLY);
      const size_t tree = add_tree({.kind = TreeSource::Kind::volume,
                                    .path = source.real_path,
                                    .mount_index = index,
                                    .attributes = options.set | kUserMount,
                                    .cleared = options.clear,
                                    .recursive = true,
                                    .id_mapped = host_.ids == IdMapKind::own_range});
      add({.kind = Kind::attach_tree, .path = mount.destination, .tree = tree});
      if (writable) writable_.push_back(mount.destination);
      return {};
    }
    constexpr std::array<std::string_view, 4> kTypes = {"tmpfs", "proc", "devpts", "mqueue"};
    if (std::ranges::find(kTypes, mount.type) == kTypes.end())
      return fail(Fault::refused, "a file system of type '" + mount.type + "'");
    // What hides /proc's dangerous files finds it by this name.
    if (mount.type == "proc" && mount.destination != "/proc") return fail(Fault::refused, "a proc that is not at /proc");
    Within keep = Within::foreign;
    if (mount.destination == "/proc" && mount.type == "proc") keep = Within::own_proc;
    if (mount.destination == "/dev" && mount.type == "tmpfs") keep = Within::own_dev;
    std::string data = mount_data(options.file_system);
    add({.kind = Kind::file_system,
         .path = mount.destination,
         .text = mount.type,
         .no_links = is_our_own(mount.destination),
         .attributes = options.set,
         .options = std::move(options.file_system),
         .data = std::move(data),
         .within = within(mount.destination),
         .keep = keep});
    has_proc_ |= keep == Within::own_proc;
    if (keep == Within::own_dev) compile_devices();
    // /proc, /dev and its terminals have a narrower Landlock rule of their own.
    const bool has_a_place = keep != Within::foreign || mount.type == "devpts";
    if (!(options.set & MOUNT_ATTR_RDONLY) && !has_a_place) writable_.push_back(mount.destination);
    return {};
  }

  void compile_devices() {
    has_dev_ = true;
    for (const HostDevice& device : kDevices) {
      const std::string path = std::string("/dev/") + device.name;
      const size_t tree = add_tree({.kind = TreeSource::Kind::device,
                                    .path = path,
                                    .attributes = kDeviceMount,
                                    .recursive = false,
                                    .device_major = device.major,
                                    .device_minor = device.minor});
      add({.kind = Kind::attach_tree, .path = path, .tree = tree, .within = Within::own_dev});
    }
    for (const auto& [path, target] : kDeviceLinks)
      add({.kind = Kind::symlink, .path = path, .text = target, .within = Within::own_dev});
  }

  // Names directly in our own /dev and /proc, and directories that the default root begins with. Deeper ones may lie in a
  // volume.
  Within within(const std::string& path) const {
    const size_t last = path.rfind('/');
    const std::string_view parent = std::string_view(path).substr(0, last == path.npos ? 0 : last);
    if (has_dev_ && parent == "/dev") return Within::own_dev;
    if (has_proc_ && parent == "/proc") return Within::own_proc;
    return std::ranges::find(own_directories_, path) != own_directories_.end() ? Within::own_root : Within::foreign;
  }

  // Onto the root's own tmpfs, before anything foreign is mounted there.
  void add_own(RootOperation operation) {
    operation.within = Within::own_root;
    add(std::move(operation));
  }

  void compile_secrets() {
    if (spec_.secrets().empty()) return;
    add({.kind = Kind::secrets, .path = secrets::kDirectory, .no_links = true});
    for (const secrets::Request& secret : spec_.secrets())
      if (!secret.destination.empty())
        add({.kind = Kind::bind_inside,
             .path = secret.destination,
             .text = std::string(secrets::kDirectory) + "/" + secret.name});
  }

  void compile_privileges() {
    if (auto caps = compile_caps(spec_.process().capabilities)) plan_.caps = *caps;
    else problem(caps.error());
    if (!plan_.root.read_only) writable_.emplace_back("/");
    plan_.landlock = compile_landlock(host_.landlock_abi, standard_landlock_places(writable_));
  }

  size_t add_tree(TreeSource source) {
    plan_.root.trees.push_back(std::move(source));
    return plan_.root.trees.size() - 1;
  }

  static constexpr size_t kUsualOperations = 64;
  static constexpr int kWorkloadOomScore = 500;
  const Spec& spec_;
  const bundle::Config& config_;
  const HostTraits host_;
  const bundle::NetworkNames& names_;
  Plan plan_;
  std::vector<std::string> writable_;
  std::vector<std::string> own_directories_;  // of the default root
  std::string problems_;
  bool has_dev_ = false, has_proc_ = false;  // they are mounted, and ours
};

const char* to_text(Kind kind) {
  switch (kind) {
    case Kind::directory: return "directory";
    case Kind::symlink: return "symlink";
    case Kind::file: return "file";
    case Kind::attach_tree: return "bind";
    case Kind::file_system: return "file_system";
    case Kind::mask: return "mask";
    case Kind::read_only: return "read_only";
    case Kind::seal: return "seal";
    case Kind::secrets: return "secrets";
    case Kind::file_over: return "file_over";
    case Kind::bind_inside: return "bind_inside";
    case Kind::pty: return "pty";
    case Kind::node: return "node";
    case Kind::console: return "console";
    case Kind::remount: return "remount";
  }
  return "unknown";
}

std::string attributes_text(uint64_t attributes) {
  constexpr std::pair<uint64_t, const char*> kNames[] = {{MOUNT_ATTR_RDONLY, "ro"},
                                                         {MOUNT_ATTR_NOSUID, "nosuid"},
                                                         {MOUNT_ATTR_NODEV, "nodev"},
                                                         {MOUNT_ATTR_NOEXEC, "noexec"},
                                                         {MOUNT_ATTR_NOATIME, "noatime"},
                                                         {MOUNT_ATTR_STRICTATIME, "strictatime"},
                                                         {MOUNT_ATTR_NODIRATIME, "nodiratime"}};
  std::string text;
  for (const auto& [bit, name] : kNames)
    if (attributes & bit) text.append(text.empty() ? "" : ",").append(name);
  return text;
}

json::Value to_json(const Plan& plan, const RootOperation& op) {
  json::Object object;
  object.set("do", to_text(op.kind));
  object.set("path", op.path);
  if (op.kind == Kind::attach_tree) {
    const TreeSource& source = plan.root.trees[op.tree];
    object.set("source", source.path);
    object.set("attributes", attributes_text(source.attributes));
    if (source.id_mapped) object.set("id_mapped", true);
  }
  if (op.kind == Kind::file_system) {
    object.set("type", op.text);
    object.set("attributes", attributes_text(op.attributes));
    json::Object options;
    for (const auto& [key, value] : op.options) options.set(key, value);
    object.set("options", std::move(options));
  }
  if (op.kind == Kind::symlink) object.set("target", op.text);
  if (op.kind == Kind::bind_inside) object.set("source", op.text);
  if (op.kind == Kind::file || op.kind == Kind::file_over) object.set("bytes", static_cast<uint64_t>(op.text.size()));
  return object;
}

}  // namespace

Result<Plan> compile(const Spec& spec, const HostTraits& host, const bundle::NetworkNames& names) {
  if (spec.request().shape == dispatcher::Shape::complete) return compile_complete(spec, host);
  return Compiler(spec, host, names).compile();
}

json::Value to_json(const Plan& plan) {
  constexpr std::pair<uint64_t, const char*> kNamespaces[] = {{CLONE_NEWUSER, "user"}, {CLONE_NEWNS, "mount"},
                                                              {CLONE_NEWPID, "pid"},   {CLONE_NEWNET, "network"},
                                                              {CLONE_NEWIPC, "ipc"},   {CLONE_NEWUTS, "uts"}};
  json::Object object;
  json::Array namespaces;
  for (const auto& [flag, name] : kNamespaces)
    if (plan.clone_flags & flag) namespaces.emplace_back(name);
  if (plan.new_cgroup_namespace) namespaces.emplace_back("cgroup");
  object.set("namespaces", std::move(namespaces));
  object.set("network", plan.joins_network ? "prepared" : plan.loopback_up ? "loopback" : "the host's");
  object.set("hostname", plan.hostname);
  object.set("root", plan.root.tree < 0 ? "tmpfs" : "overlay of " + plan.root.trees[static_cast<size_t>(plan.root.tree)].path);
  object.set("root_read_only", plan.root.read_only);
  json::Array operations;
  for (const RootOperation& op : plan.root.operations) operations.push_back(to_json(plan, op));
  object.set("operations", std::move(operations));
  object.set("uid", plan.user.uid);
  object.set("gid", plan.user.gid);
  object.set("oom_score_adj", plan.oom_score_adj);
  object.set("capabilities", bundle::capabilities_text(plan.caps.effective));
  object.set("seccomp", to_json(plan.seccomp));
  if (plan.landlock.why_off.empty()) object.set("landlock_abi", plan.landlock.abi);
  else object.set("landlock_off", plan.landlock.why_off);
  return object;
}

}  // namespace bailey::native
