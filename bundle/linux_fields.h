// fields() of the structures below "linux", and of the whole (fields.h).
#pragma once

#include <string_view>
#include <utility>

#include "bundle/fields.h"

namespace bailey::bundle {

// --- linux.resources

template <typename V>
void fields(V& v, Of<V, DeviceRule> rule) {
  v.must("allow", rule.allow);
  v.may("type", rule.type);
  v.may("major", rule.major);
  v.may("minor", rule.minor);
  v.may("access", rule.access);
}

template <typename V>
void fields(V& v, Of<V, MemoryResources> memory) {
  v.may("limit", memory.limit);
  v.may("reservation", memory.reservation);
  v.may("swap", memory.swap);
  v.may("kernel", memory.kernel);
  v.may("kernelTCP", memory.kernel_tcp);
  v.may("swappiness", memory.swappiness);
  v.may("disableOOMKiller", memory.disable_oom_killer);
  v.may("useHierarchy", memory.use_hierarchy);
  v.may("checkBeforeUpdate", memory.check_before_update);
}

template <typename V>
void fields(V& v, Of<V, CpuResources> cpu) {
  v.may("shares", cpu.shares);
  v.may("quota", cpu.quota);
  v.may("burst", cpu.burst);
  v.may("period", cpu.period);
  v.may("realtimeRuntime", cpu.realtime_runtime);
  v.may("realtimePeriod", cpu.realtime_period);
  v.may("cpus", cpu.cpus);
  v.may("mems", cpu.mems);
  v.may("idle", cpu.idle);
}

template <typename V>
void fields(V& v, Of<V, BlockIoWeight> weight) {
  v.must("major", weight.major);
  v.must("minor", weight.minor);
  v.may("weight", weight.weight);
  v.may("leafWeight", weight.leaf_weight);
}

template <typename V>
void fields(V& v, Of<V, BlockIoThrottle> throttle) {
  v.must("major", throttle.major);
  v.must("minor", throttle.minor);
  v.must("rate", throttle.rate);
}

template <typename V>
void fields(V& v, Of<V, BlockIoResources> io) {
  v.may("weight", io.weight);
  v.may("leafWeight", io.leaf_weight);
  v.may("weightDevice", io.weight_device);
  v.may("throttleReadBpsDevice", io.read_bps);
  v.may("throttleWriteBpsDevice", io.write_bps);
  v.may("throttleReadIOPSDevice", io.read_iops);
  v.may("throttleWriteIOPSDevice", io.write_iops);
}

template <typename V>
void fields(V& v, Of<V, HugepageLimit> limit) {
  v.must("pageSize", limit.page_size);
  v.must("limit", limit.limit);
}

template <typename V>
void fields(V& v, Of<V, InterfacePriority> interface) {
  v.must("name", interface.name);
  v.must("priority", interface.priority);
}

template <typename V>
void fields(V& v, Of<V, NetworkResources> network) {
  v.may("classID", network.class_id);
  v.may("priorities", network.priorities);
}

template <typename V>
void fields(V& v, Of<V, RdmaLimit> limit) {
  v.may("hcaHandles", limit.hca_handles);
  v.may("hcaObjects", limit.hca_objects);
}

template <typename V>
void fields(V& v, Of<V, Resources> resources) {
  v.may("devices", resources.devices);
  v.may("memory", resources.memory);
  v.may("cpu", resources.cpu);
  v.group("pids", [&](auto& pids) { pids.may("limit", resources.pids_limit); });
  v.may("blockIO", resources.block_io);
  v.may("hugepageLimits", resources.hugepage_limits);
  v.may("network", resources.network);
  v.may("rdma", resources.rdma);
  v.may("unified", resources.unified);
}

// --- linux

inline constexpr std::pair<std::string_view, NamespaceType> kNamespaceNames[] = {
    {"pid", NamespaceType::pid},       {"network", NamespaceType::network}, {"mount", NamespaceType::mount},
    {"ipc", NamespaceType::ipc},       {"uts", NamespaceType::uts},         {"user", NamespaceType::user},
    {"cgroup", NamespaceType::cgroup}, {"time", NamespaceType::time},
};

template <typename V>
void fields(V& v, Of<V, Namespace> space) {
  v.word("type", space.type, kNamespaceNames);
  v.may("path", space.path);
}

template <typename V>
void fields(V& v, Of<V, Device> device) {
  v.must("path", device.path);
  v.must("type", device.type);
  v.always("major", device.major);
  v.always("minor", device.minor);
  v.may("fileMode", device.file_mode);
  v.may("uid", device.uid);
  v.may("gid", device.gid);
}

template <typename V>
void fields(V& v, Of<V, SeccompArg> arg) {
  v.must("index", arg.index);
  v.must("value", arg.value);
  v.may("valueTwo", arg.value_two);
  v.must("op", arg.op);
}

template <typename V>
void fields(V& v, Of<V, SeccompRule> rule) {
  v.must("names", rule.names);
  v.must("action", rule.action);
  v.may("errnoRet", rule.errno_ret);
  v.may("args", rule.args);
}

template <typename V>
void fields(V& v, Of<V, Seccomp> seccomp) {
  v.must("defaultAction", seccomp.default_action);
  v.may("defaultErrnoRet", seccomp.default_errno_ret);
  v.may("architectures", seccomp.architectures);
  v.may("flags", seccomp.flags);
  v.may("listenerPath", seccomp.listener_path);
  v.may("listenerMetadata", seccomp.listener_metadata);
  v.may("syscalls", seccomp.syscalls);
}

template <typename V>
void fields(V& v, Of<V, IntelRdt> rdt) {
  v.may("closID", rdt.clos_id);
  v.may("l3CacheSchema", rdt.l3_cache_schema);
  v.may("memBwSchema", rdt.mem_bw_schema);
  v.may("enableCMT", rdt.enable_cmt);
  v.may("enableMBM", rdt.enable_mbm);
}

template <typename V>
void fields(V& v, Of<V, Personality> personality) {
  v.must("domain", personality.domain);
  v.may("flags", personality.flags);
}

template <typename V>
void fields(V& v, Of<V, TimeOffset> offset) {
  v.always("secs", offset.secs);
  v.always("nanosecs", offset.nanosecs);
}

template <typename V>
void fields(V& v, Of<V, Linux> linux_part) {
  v.may("uidMappings", linux_part.uid_mappings);
  v.may("gidMappings", linux_part.gid_mappings);
  v.may("sysctl", linux_part.sysctl);
  v.may("resources", linux_part.resources);
  v.may("cgroupsPath", linux_part.cgroups_path);
  v.may("namespaces", linux_part.namespaces);
  v.may("devices", linux_part.devices);
  v.may("seccomp", linux_part.seccomp);
  v.may("rootfsPropagation", linux_part.rootfs_propagation);
  v.may("maskedPaths", linux_part.masked_paths);
  v.may("readonlyPaths", linux_part.readonly_paths);
  v.may("mountLabel", linux_part.mount_label);
  v.may("intelRdt", linux_part.intel_rdt);
  v.may("personality", linux_part.personality);
  v.may("timeOffsets", linux_part.time_offsets);
  v.refuse({"memoryPolicy", "netDevices"});
}

// --- the whole

template <typename V>
void fields(V& v, Of<V, Config> config) {
  v.always("ociVersion", config.oci_version);
  v.may("process", config.process);
  v.may("root", config.root);
  v.may("hostname", config.hostname);
  v.may("domainname", config.domainname);
  v.may("mounts", config.mounts);
  v.may("hooks", config.hooks);
  v.may("annotations", config.annotations);
  v.may("linux", config.linux);
}

}  // namespace bailey::bundle
