#include "dispatcher/garbage.h"

#include <algorithm>

#include "host/cgroup/cgroup.h"

namespace bailey::dispatcher {

namespace {

// The parents to look in: the one that this process would use, and those that the record of the dead sandbox names.
std::vector<std::string> parents_of(const host::CgroupMounts& mounts, const StateStore& store, const std::string& id,
                                    const std::string& fallback) {
  std::vector<std::string> parents{fallback};
  const auto record = store.read(id);
  if (!record) return parents;
  const auto add = [&](const std::string& path, const std::string& mount) {
    const size_t end = path.rfind('/');
    if (end == std::string::npos || !path.starts_with(mount + "/")) return;
    const std::string parent = end == mount.size() ? "/" : path.substr(mount.size(), end - mount.size());
    if (std::ranges::find(parents, parent) == parents.end()) parents.push_back(parent);
  };
  for (const std::string& path : record->cgroups) {
    for (const auto& controller : mounts.controllers) add(path, controller.directory);
    if (mounts.unified) add(path, mounts.unified->directory);
  }
  return parents;
}

}  // namespace

StateStore::Collector cgroup_collector(const StateStore& store, const std::string& parent) {
  return [&store, parent](const std::string& id) -> Result<> {
    // An engine's are called as it likes.
    if (const auto record = store.read(id); record && !record->bundle.empty()) TRY(host::remove_cgroups(record->cgroups));
    const host::CgroupMounts mounts = TRY(host::find_cgroups());
    for (const std::string& place : parents_of(mounts, store, id, parent)) TRY(host::collect_cgroups(mounts, place, id));
    return {};
  };
}

Result<Collected> collect_garbage(StateStore& store, const std::string& cgroup_parent) {
  Collected collected;
  collected.sandboxes = TRY(store.collect_dead(cgroup_collector(store, cgroup_parent)));
  collected.network = network::collect(store.directory());
  return collected;
}

}  // namespace bailey::dispatcher
