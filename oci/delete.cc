// delete: removes what a container that has ended has left; with --force, one that runs as well.
#include <string_view>

#include "dispatcher/garbage.h"
#include "oci/commands.h"
#include "oci/containers.h"
#include "oci/words.h"

namespace bailey::oci {

using namespace dispatcher;

namespace {

Result<std::string> cgroup_parent() { return TRY(load_policy("")).cgroup_parent; }

}  // namespace

Result<int> remove(const Call& call, const Runtime& runtime) {
  StateStore store = TRY(open_store(call));
  const auto container = find(store, call.id);
  if (!container) {
    if (!call.force) return std::unexpected(container.error());
    // Unknown, or not to be read: what there is goes by its name.
    (void)store.collect_one(call.id, cgroup_collector(store, cgroup_parent().value_or("")));
    return 0;
  }
  const std::string_view status = container->status();
  if (!call.force && status != "stopped" && status != "created")
    return fail(Fault::bad_input, "cannot delete container \"" + call.id + "\" that is not stopped: " + std::string(status));
  Attached attached = TRY(Attached::open(store, call.id, backends_by_name(runtime.make_backend)));
  const std::string parent = TRY(cgroup_parent());
  TRY(attached.remove(parent));
  return 0;
}

}  // namespace bailey::oci
