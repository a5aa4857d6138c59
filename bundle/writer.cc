#include "bundle/writer.h"

#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "bundle/namespace_names.h"

namespace bailey::bundle {

namespace {

using json::Array;
using json::Object;
using json::Value;

// put: adds a member unless it is absent: an empty string, list or map, an empty optional, false.
void put(Object& object, const char* key, const std::string& value) {
  if (!value.empty()) object.append(key, value);
}
void put(Object& object, const char* key, std::same_as<bool> auto value) {  // not from a number or pointer
  if (value) object.append(key, true);
}
template <typename T>
void put(Object& object, const char* key, const std::optional<T>& value) {
  if (!value) return;
  if constexpr (std::is_same_v<T, uint16_t>) object.append(key, unsigned{*value});
  else object.append(key, *value);
}
template <typename T>
void put(Object& object, const char* key, const std::vector<T>& values) {
  if (values.empty()) return;
  Array array;
  array.reserve(values.size());
  for (const T& value : values) array.emplace_back(value);
  object.append(key, std::move(array));
}
void put(Object& object, const char* key, const std::map<std::string, std::string>& values) {
  if (values.empty()) return;
  Object map;
  for (const auto& [name, value] : values) map.append(name, value);
  object.append(key, std::move(map));
}
void put(Object& object, const char* key, Object value) {
  if (!value.empty()) object.append(key, std::move(value));
}

// The same for lists and maps of structs; `encode` makes the object of one.
template <typename T>
void put_list(Object& object, const char* key, const std::vector<T>& values, Object (*encode)(const T&)) {
  if (values.empty()) return;
  Array array;
  array.reserve(values.size());
  for (const T& value : values) array.emplace_back(encode(value));
  object.append(key, std::move(array));
}
template <typename T>
void put_map(Object& object, const char* key, const std::map<std::string, T>& values, Object (*encode)(const T&)) {
  if (values.empty()) return;
  Object map;
  for (const auto& [name, value] : values) map.append(name, encode(value));
  object.append(key, std::move(map));
}

// --- process

Object encode_user(const User& user) {
  Object object;
  object.append("uid", user.uid);
  object.append("gid", user.gid);
  put(object, "umask", user.umask);
  put(object, "additionalGids", user.additional_gids);
  return object;
}

Object encode_console_size(const ConsoleSize& size) {
  Object object;
  object.append("height", size.height);
  object.append("width", size.width);
  return object;
}

Object encode_capabilities(const Capabilities& capabilities) {
  Object object;
  put(object, "bounding", capabilities.bounding);
  put(object, "effective", capabilities.effective);
  put(object, "inheritable", capabilities.inheritable);
  put(object, "permitted", capabilities.permitted);
  put(object, "ambient", capabilities.ambient);
  return object;
}

Object encode_rlimit(const Rlimit& rlimit) {
  Object object;
  object.append("type", rlimit.type);
  object.append("hard", rlimit.hard);
  object.append("soft", rlimit.soft);
  return object;
}

// --- mounts, root, hooks

Object encode_root(const Root& root) {
  Object object;
  object.append("path", root.path);
  put(object, "readonly", root.readonly);
  return object;
}

Object encode_mapping(const IdMapping& mapping) {
  Object object;
  object.append("containerID", mapping.container_id);
  object.append("hostID", mapping.host_id);
  object.append("size", mapping.size);
  return object;
}

Object encode_mount(const Mount& mount) {
  Object object;
  object.append("destination", mount.destination);
  put(object, "type", mount.type);
  put(object, "source", mount.source);
  put(object, "options", mount.options);
  put_list(object, "uidMappings", mount.uid_mappings, encode_mapping);
  put_list(object, "gidMappings", mount.gid_mappings, encode_mapping);
  return object;
}

Object encode_hook(const Hook& hook) {
  Object object;
  object.append("path", hook.path);
  put(object, "args", hook.args);
  put(object, "env", hook.env);
  put(object, "timeout", hook.timeout_seconds);
  return object;
}

Object encode_hooks(const Hooks& hooks) {
  Object object;
  put_list(object, "prestart", hooks.prestart, encode_hook);
  put_list(object, "createRuntime", hooks.create_runtime, encode_hook);
  put_list(object, "createContainer", hooks.create_container, encode_hook);
  put_list(object, "startContainer", hooks.start_container, encode_hook);
  put_list(object, "poststart", hooks.poststart, encode_hook);
  put_list(object, "poststop", hooks.poststop, encode_hook);
  return object;
}

// --- linux.resources

Object encode_device_rule(const DeviceRule& rule) {
  Object object;
  object.append("allow", rule.allow);
  put(object, "type", rule.type);
  put(object, "major", rule.major);
  put(object, "minor", rule.minor);
  put(object, "access", rule.access);
  return object;
}

Object encode_memory(const MemoryResources& memory) {
  Object object;
  put(object, "limit", memory.limit);
  put(object, "reservation", memory.reservation);
  put(object, "swap", memory.swap);
  put(object, "kernel", memory.kernel);
  put(object, "kernelTCP", memory.kernel_tcp);
  put(object, "swappiness", memory.swappiness);
  put(object, "disableOOMKiller", memory.disable_oom_killer);
  put(object, "useHierarchy", memory.use_hierarchy);
  put(object, "checkBeforeUpdate", memory.check_before_update);
  return object;
}

Object encode_cpu(const CpuResources& cpu) {
  Object object;
  put(object, "shares", cpu.shares);
  put(object, "quota", cpu.quota);
  put(object, "burst", cpu.burst);
  put(object, "period", cpu.period);
  put(object, "realtimeRuntime", cpu.realtime_runtime);
  put(object, "realtimePeriod", cpu.realtime_period);
  put(object, "cpus", cpu.cpus);
  put(object, "mems", cpu.mems);
  put(object, "idle", cpu.idle);
  return object;
}

Object encode_block_io_weight(const BlockIoWeight& weight) {
  Object object;
  object.append("major", weight.major);
  object.append("minor", weight.minor);
  put(object, "weight", weight.weight);
  put(object, "leafWeight", weight.leaf_weight);
  return object;
}

Object encode_block_io_throttle(const BlockIoThrottle& throttle) {
  Object object;
  object.append("major", throttle.major);
  object.append("minor", throttle.minor);
  object.append("rate", throttle.rate);
  return object;
}

Object encode_block_io(const BlockIoResources& io) {
  Object object;
  put(object, "weight", io.weight);
  put(object, "leafWeight", io.leaf_weight);
  put_list(object, "weightDevice", io.weight_device, encode_block_io_weight);
  put_list(object, "throttleReadBpsDevice", io.read_bps, encode_block_io_throttle);
  put_list(object, "throttleWriteBpsDevice", io.write_bps, encode_block_io_throttle);
  put_list(object, "throttleReadIOPSDevice", io.read_iops, encode_block_io_throttle);
  put_list(object, "throttleWriteIOPSDevice", io.write_iops, encode_block_io_throttle);
  return object;
}

Object encode_hugepage_limit(const HugepageLimit& limit) {
  Object object;
  object.append("pageSize", limit.page_size);
  object.append("limit", limit.limit);
  return object;
}

Object encode_interface_priority(const InterfacePriority& interface) {
  Object object;
  object.append("name", interface.name);
  object.append("priority", interface.priority);
  return object;
}

Object encode_network(const NetworkResources& network) {
  Object object;
  put(object, "classID", network.class_id);
  put_list(object, "priorities", network.priorities, encode_interface_priority);
  return object;
}

Object encode_rdma(const RdmaLimit& limit) {
  Object object;
  put(object, "hcaHandles", limit.hca_handles);
  put(object, "hcaObjects", limit.hca_objects);
  return object;
}

Object encode_pids(const std::optional<int64_t>& limit) {
  Object object;
  put(object, "limit", limit);
  return object;
}

// --- linux

Object encode_namespace(const Namespace& space) {
  Object object;
  for (const auto& [name, type] : kNamespaceNames)
    if (type == space.type) object.append("type", name);
  put(object, "path", space.path);
  return object;
}

Object encode_device(const Device& device) {
  Object object;
  object.append("path", device.path);
  object.append("type", device.type);
  object.append("major", device.major);
  object.append("minor", device.minor);
  put(object, "fileMode", device.file_mode);
  put(object, "uid", device.uid);
  put(object, "gid", device.gid);
  return object;
}

Object encode_seccomp_arg(const SeccompArg& arg) {
  Object object;
  object.append("index", arg.index);
  object.append("value", arg.value);
  if (arg.value_two) object.append("valueTwo", arg.value_two);
  object.append("op", arg.op);
  return object;
}

Object encode_seccomp_rule(const SeccompRule& rule) {
  Object object;
  object.append("names", Array(rule.names.begin(), rule.names.end()));
  object.append("action", rule.action);
  put(object, "errnoRet", rule.errno_ret);
  put_list(object, "args", rule.args, encode_seccomp_arg);
  return object;
}

Object encode_filter(const Seccomp& seccomp) {
  Object object;
  object.append("defaultAction", seccomp.default_action);
  put(object, "defaultErrnoRet", seccomp.default_errno_ret);
  put(object, "architectures", seccomp.architectures);
  put(object, "flags", seccomp.flags);
  put(object, "listenerPath", seccomp.listener_path);
  put(object, "listenerMetadata", seccomp.listener_metadata);
  put_list(object, "syscalls", seccomp.syscalls, encode_seccomp_rule);
  return object;
}

Object encode_intel_rdt(const IntelRdt& rdt) {
  Object object;
  put(object, "closID", rdt.clos_id);
  put(object, "l3CacheSchema", rdt.l3_cache_schema);
  put(object, "memBwSchema", rdt.mem_bw_schema);
  put(object, "enableCMT", rdt.enable_cmt);
  put(object, "enableMBM", rdt.enable_mbm);
  return object;
}

Object encode_personality(const Personality& personality) {
  Object object;
  object.append("domain", personality.domain);
  put(object, "flags", personality.flags);
  return object;
}

Object encode_time_offset(const TimeOffset& offset) {
  Object object;
  object.append("secs", offset.secs);
  object.append("nanosecs", offset.nanosecs);
  return object;
}

Object encode_linux(const Linux& linux) {
  Object object;
  put_list(object, "uidMappings", linux.uid_mappings, encode_mapping);
  put_list(object, "gidMappings", linux.gid_mappings, encode_mapping);
  put(object, "sysctl", linux.sysctl);
  put(object, "resources", *encode_resources(linux.resources).as<Object>());
  put(object, "cgroupsPath", linux.cgroups_path);
  put_list(object, "namespaces", linux.namespaces, encode_namespace);
  put_list(object, "devices", linux.devices, encode_device);
  if (linux.seccomp) object.append("seccomp", encode_filter(*linux.seccomp));
  put(object, "rootfsPropagation", linux.rootfs_propagation);
  put(object, "maskedPaths", linux.masked_paths);
  put(object, "readonlyPaths", linux.readonly_paths);
  put(object, "mountLabel", linux.mount_label);
  if (linux.intel_rdt) object.append("intelRdt", encode_intel_rdt(*linux.intel_rdt));
  if (linux.personality) object.append("personality", encode_personality(*linux.personality));
  put_map(object, "timeOffsets", linux.time_offsets, encode_time_offset);
  return object;
}

}  // namespace

Value encode_process(const Process& process) {
  Object object;
  put(object, "terminal", process.terminal);
  if (process.console_size) object.append("consoleSize", encode_console_size(*process.console_size));
  object.append("user", encode_user(process.user));
  object.append("args", Array(process.args.begin(), process.args.end()));
  put(object, "env", process.env);
  object.append("cwd", process.cwd);
  put(object, "capabilities", encode_capabilities(process.capabilities));
  put_list(object, "rlimits", process.rlimits, encode_rlimit);
  put(object, "noNewPrivileges", process.no_new_privileges);
  put(object, "oomScoreAdj", process.oom_score_adj);
  put(object, "apparmorProfile", process.apparmor_profile);
  put(object, "selinuxLabel", process.selinux_label);
  return object;
}

Value encode_seccomp(const Seccomp& seccomp) { return encode_filter(seccomp); }

Value encode_resources(const Resources& resources) {
  Object object;
  put_list(object, "devices", resources.devices, encode_device_rule);
  put(object, "memory", encode_memory(resources.memory));
  put(object, "cpu", encode_cpu(resources.cpu));
  put(object, "pids", encode_pids(resources.pids_limit));
  put(object, "blockIO", encode_block_io(resources.block_io));
  put_list(object, "hugepageLimits", resources.hugepage_limits, encode_hugepage_limit);
  put(object, "network", encode_network(resources.network));
  put_map(object, "rdma", resources.rdma, encode_rdma);
  put(object, "unified", resources.unified);
  return object;
}

Value encode_config(const Config& config) {
  Object object;
  object.append("ociVersion", config.oci_version);
  if (config.process) object.append("process", encode_process(*config.process));
  if (config.root) object.append("root", encode_root(*config.root));
  put(object, "hostname", config.hostname);
  put(object, "domainname", config.domainname);
  put_list(object, "mounts", config.mounts, encode_mount);
  put(object, "hooks", encode_hooks(config.hooks));
  put(object, "annotations", config.annotations);
  put(object, "linux", encode_linux(config.linux));
  return object;
}

}  // namespace bailey::bundle
