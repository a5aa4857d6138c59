#include "bundle/reader.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "bundle/namespace_names.h"

namespace bailey::bundle {

namespace {

using json::ObjectView;

template <typename T>
void decode_list(ObjectView& view, std::string_view key, std::vector<T>& out, void (*decode)(ObjectView&, T&)) {
  if (view.has(key)) out.clear();
  view.array(key, [&](ObjectView& element) { decode(element, out.emplace_back()); });
}

template <typename T>
void decode_optional(ObjectView& view, std::string_view key, std::optional<T>& out, void (*decode)(ObjectView&, T&)) {
  view.object(key, [&](ObjectView& member) { decode(member, out.emplace()); });
}

template <typename T>
void decode_map(ObjectView& view, std::string_view key, std::map<std::string, T>& out, void (*decode)(ObjectView&, T&)) {
  view.object(key, [&](ObjectView& map) {
    out.clear();
    map.each([&](const std::string& name, const json::Value& value) {
      map.decoder().object(value, [&](ObjectView& member) { decode(member, out[name]); }, json::member_path(map.path(), name));
    });
  });
}

void refuse_unsupported(ObjectView& view, std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys)
    if (view.value(key)) view.fault(key, "is not supported: leave it out");
}

// SemVer (runtime-spec config.md, "Specification version"): MAJOR.MINOR.PATCH, then anything behind '-' or
// '+'.
bool is_version_1(std::string_view text) {
  const std::string_view core = text.substr(0, text.find_first_of("-+"));
  const auto is_digit_or_dot = [](char c) { return c == '.' || (c >= '0' && c <= '9'); };
  return core.starts_with("1.") && std::ranges::count(core, '.') == 2 && !core.ends_with('.') && core.find("..") == core.npos &&
         std::ranges::all_of(core, is_digit_or_dot);
}

// --- process

void decode_user(ObjectView& view, User& out) {
  view.get("uid", out.uid);
  view.get("gid", out.gid);
  view.get("umask", out.umask);
  view.get("additionalGids", out.additional_gids);
}

void decode_console_size(ObjectView& view, ConsoleSize& out) {
  view.require("height", out.height);
  view.require("width", out.width);
}

void decode_capabilities(ObjectView& view, Capabilities& out) {
  view.get("bounding", out.bounding);
  view.get("effective", out.effective);
  view.get("inheritable", out.inheritable);
  view.get("permitted", out.permitted);
  view.get("ambient", out.ambient);
}

void decode_rlimit(ObjectView& view, Rlimit& out) {
  view.require("type", out.type);
  view.require("soft", out.soft);
  view.require("hard", out.hard);
}

// --- mounts, root, hooks

void decode_root(ObjectView& view, Root& out) {
  view.require("path", out.path);
  view.get("readonly", out.readonly);
}

void decode_mapping(ObjectView& view, IdMapping& out) {
  view.require("containerID", out.container_id);
  view.require("hostID", out.host_id);
  view.require("size", out.size);
}

void decode_mount(ObjectView& view, Mount& out) {
  view.require("destination", out.destination);
  view.get("type", out.type);
  view.get("source", out.source);
  view.get("options", out.options);
  decode_list(view, "uidMappings", out.uid_mappings, decode_mapping);
  decode_list(view, "gidMappings", out.gid_mappings, decode_mapping);
}

void decode_hook(ObjectView& view, Hook& out) {
  view.require("path", out.path);
  view.get("args", out.args);
  view.get("env", out.env);
  view.get("timeout", out.timeout_seconds);
}

void decode_hooks(ObjectView& view, Hooks& out) {
  decode_list(view, "prestart", out.prestart, decode_hook);
  decode_list(view, "createRuntime", out.create_runtime, decode_hook);
  decode_list(view, "createContainer", out.create_container, decode_hook);
  decode_list(view, "startContainer", out.start_container, decode_hook);
  decode_list(view, "poststart", out.poststart, decode_hook);
  decode_list(view, "poststop", out.poststop, decode_hook);
}

// --- linux.resources

void decode_device_rule(ObjectView& view, DeviceRule& out) {
  view.require("allow", out.allow);
  view.get("type", out.type);
  view.get("major", out.major);
  view.get("minor", out.minor);
  view.get("access", out.access);
}

void decode_memory(ObjectView& view, MemoryResources& out) {
  view.get("limit", out.limit);
  view.get("reservation", out.reservation);
  view.get("swap", out.swap);
  view.get("kernel", out.kernel);
  view.get("kernelTCP", out.kernel_tcp);
  view.get("swappiness", out.swappiness);
  view.get("disableOOMKiller", out.disable_oom_killer);
  view.get("useHierarchy", out.use_hierarchy);
  view.get("checkBeforeUpdate", out.check_before_update);
}

void decode_cpu(ObjectView& view, CpuResources& out) {
  view.get("shares", out.shares);
  view.get("quota", out.quota);
  view.get("burst", out.burst);
  view.get("period", out.period);
  view.get("realtimeRuntime", out.realtime_runtime);
  view.get("realtimePeriod", out.realtime_period);
  view.get("cpus", out.cpus);
  view.get("mems", out.mems);
  view.get("idle", out.idle);
}

void decode_block_io_weight(ObjectView& view, BlockIoWeight& out) {
  view.require("major", out.major);
  view.require("minor", out.minor);
  view.get("weight", out.weight);
  view.get("leafWeight", out.leaf_weight);
}

void decode_block_io_throttle(ObjectView& view, BlockIoThrottle& out) {
  view.require("major", out.major);
  view.require("minor", out.minor);
  view.require("rate", out.rate);
}

void decode_block_io(ObjectView& view, BlockIoResources& out) {
  view.get("weight", out.weight);
  view.get("leafWeight", out.leaf_weight);
  decode_list(view, "weightDevice", out.weight_device, decode_block_io_weight);
  decode_list(view, "throttleReadBpsDevice", out.read_bps, decode_block_io_throttle);
  decode_list(view, "throttleWriteBpsDevice", out.write_bps, decode_block_io_throttle);
  decode_list(view, "throttleReadIOPSDevice", out.read_iops, decode_block_io_throttle);
  decode_list(view, "throttleWriteIOPSDevice", out.write_iops, decode_block_io_throttle);
}

void decode_hugepage_limit(ObjectView& view, HugepageLimit& out) {
  view.require("pageSize", out.page_size);
  view.require("limit", out.limit);
}

void decode_interface_priority(ObjectView& view, InterfacePriority& out) {
  view.require("name", out.name);
  view.require("priority", out.priority);
}

void decode_network(ObjectView& view, NetworkResources& out) {
  view.get("classID", out.class_id);
  decode_list(view, "priorities", out.priorities, decode_interface_priority);
}

void decode_rdma(ObjectView& view, RdmaLimit& out) {
  view.get("hcaHandles", out.hca_handles);
  view.get("hcaObjects", out.hca_objects);
}

// --- linux

void decode_namespace(ObjectView& view, Namespace& out) {
  if (!view.has("type")) view.fault("type", "is missing");
  view.get_enum("type", out.type, kNamespaceNames);
  view.get("path", out.path);
}

void decode_device(ObjectView& view, Device& out) {
  view.require("path", out.path);
  view.require("type", out.type);
  view.get("major", out.major);
  view.get("minor", out.minor);
  view.get("fileMode", out.file_mode);
  view.get("uid", out.uid);
  view.get("gid", out.gid);
}

void decode_seccomp_arg(ObjectView& view, SeccompArg& out) {
  view.require("index", out.index);
  view.require("value", out.value);
  view.get("valueTwo", out.value_two);
  view.require("op", out.op);
}

void decode_seccomp_rule(ObjectView& view, SeccompRule& out) {
  view.require("names", out.names);
  view.require("action", out.action);
  view.get("errnoRet", out.errno_ret);
  decode_list(view, "args", out.args, decode_seccomp_arg);
}

void decode_seccomp(ObjectView& view, Seccomp& out) {
  view.require("defaultAction", out.default_action);
  view.get("defaultErrnoRet", out.default_errno_ret);
  view.get("architectures", out.architectures);
  view.get("flags", out.flags);
  view.get("listenerPath", out.listener_path);
  view.get("listenerMetadata", out.listener_metadata);
  decode_list(view, "syscalls", out.syscalls, decode_seccomp_rule);
}

void decode_intel_rdt(ObjectView& view, IntelRdt& out) {
  view.get("closID", out.clos_id);
  view.get("l3CacheSchema", out.l3_cache_schema);
  view.get("memBwSchema", out.mem_bw_schema);
  view.get("enableCMT", out.enable_cmt);
  view.get("enableMBM", out.enable_mbm);
}

void decode_personality(ObjectView& view, Personality& out) {
  view.require("domain", out.domain);
  view.get("flags", out.flags);
}

void decode_time_offset(ObjectView& view, TimeOffset& out) {
  view.get("secs", out.secs);
  view.get("nanosecs", out.nanosecs);
}

void decode_linux(ObjectView& view, Linux& out) {
  decode_list(view, "namespaces", out.namespaces, decode_namespace);
  decode_list(view, "uidMappings", out.uid_mappings, decode_mapping);
  decode_list(view, "gidMappings", out.gid_mappings, decode_mapping);
  decode_list(view, "devices", out.devices, decode_device);
  view.get("cgroupsPath", out.cgroups_path);
  view.object("resources", [&](ObjectView& member) { decode_resources(member, out.resources); });
  view.get("rootfsPropagation", out.rootfs_propagation);
  decode_optional(view, "seccomp", out.seccomp, decode_seccomp);
  view.get("sysctl", out.sysctl);
  view.get("maskedPaths", out.masked_paths);
  view.get("readonlyPaths", out.readonly_paths);
  view.get("mountLabel", out.mount_label);
  decode_optional(view, "intelRdt", out.intel_rdt, decode_intel_rdt);
  decode_optional(view, "personality", out.personality, decode_personality);
  decode_map(view, "timeOffsets", out.time_offsets, decode_time_offset);
  refuse_unsupported(view, {"memoryPolicy", "netDevices"});
}

// What only a whole document must have; decode_config faults the rest.
void check_document(ObjectView& view) {
  for (std::string_view key : {"ociVersion", "root"})
    if (!view.has(key)) view.fault(key, "is missing");
  const json::Value* process = view.value("process");
  const json::Object* members = process ? process->as<json::Object>() : nullptr;
  if (members && !members->find("cwd")) view.decoder().add({process->line, "$.process.cwd", "is missing"});
}

}  // namespace

void decode_process(ObjectView& view, Process& out) {
  view.get("terminal", out.terminal);
  decode_optional(view, "consoleSize", out.console_size, decode_console_size);
  view.object("user", [&](ObjectView& member) { decode_user(member, out.user); });
  view.require("args", out.args);
  view.get("env", out.env);
  view.get("cwd", out.cwd);
  view.object("capabilities", [&](ObjectView& member) { decode_capabilities(member, out.capabilities); });
  decode_list(view, "rlimits", out.rlimits, decode_rlimit);
  view.get("noNewPrivileges", out.no_new_privileges);
  view.get("oomScoreAdj", out.oom_score_adj);
  view.get("apparmorProfile", out.apparmor_profile);
  view.get("selinuxLabel", out.selinux_label);
  refuse_unsupported(view, {"scheduler", "ioPriority", "execCPUAffinity"});
}

void decode_resources(ObjectView& view, Resources& out) {
  decode_list(view, "devices", out.devices, decode_device_rule);
  view.object("memory", [&](ObjectView& member) { decode_memory(member, out.memory); });
  view.object("cpu", [&](ObjectView& member) { decode_cpu(member, out.cpu); });
  view.object("pids", [&](ObjectView& member) { member.get("limit", out.pids_limit); });
  view.object("blockIO", [&](ObjectView& member) { decode_block_io(member, out.block_io); });
  decode_list(view, "hugepageLimits", out.hugepage_limits, decode_hugepage_limit);
  view.object("network", [&](ObjectView& member) { decode_network(member, out.network); });
  decode_map(view, "rdma", out.rdma, decode_rdma);
  view.get("unified", out.unified);
}

void decode_config(ObjectView& view, Config& out) {
  if (view.get("ociVersion", out.oci_version) && !is_version_1(out.oci_version))
    view.fault("ociVersion", "'" + out.oci_version + "' is not 1.x.y");
  decode_optional(view, "root", out.root, decode_root);
  decode_list(view, "mounts", out.mounts, decode_mount);
  decode_optional(view, "process", out.process, decode_process);
  view.get("hostname", out.hostname);
  view.get("domainname", out.domainname);
  view.object("hooks", [&](ObjectView& member) { decode_hooks(member, out.hooks); });
  view.get("annotations", out.annotations);
  view.object("linux", [&](ObjectView& member) { decode_linux(member, out.linux); });
}

Result<Seccomp> parse_seccomp(std::string_view text, std::string_view name) {
  const json::Value document = TRY(json::parse(text, name));
  Seccomp seccomp;
  json::Decoder decoder(json::UnknownKeys::refuse);
  decoder.object(document, [&](ObjectView& view) { decode_seccomp(view, seccomp); });
  TRY(decoder.finish(name));
  return seccomp;
}

Result<Config> parse_config(std::string_view text, std::string_view name, json::UnknownKeys unknown) {
  const json::Value document = TRY(json::parse(text, name));
  json::Decoder decoder(unknown);
  Config config;
  decoder.object(document, [&](ObjectView& view) {
    check_document(view);
    decode_config(view, config);
  });
  TRY(decoder.finish(name));
  return config;
}

}  // namespace bailey::bundle
