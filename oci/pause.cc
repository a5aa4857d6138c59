// pause and resume: all processes of the container stop, and go on.
#include "host/cgroup/cgroup.h"
#include "oci/commands.h"
#include "oci/containers.h"

namespace bailey::oci {

namespace {

Result<int> change(const Call& call, const char* wanted, bool frozen) {
  const dispatcher::StateStore store = TRY(open_store(call));
  const Container container = TRY(find(store, call.id));
  const std::string status = container.status();
  if (status != wanted)
    return fail(Fault::bad_input,
                "cannot " + call.command + " container \"" + call.id + "\": it is " + status + " and not " + wanted);
  TRY(host::freeze_cgroups(container.record.cgroups, frozen));
  return 0;
}

}  // namespace

Result<int> pause(const Call& call, const Runtime&) { return change(call, "running", true); }
Result<int> resume(const Call& call, const Runtime&) { return change(call, "paused", false); }

}  // namespace bailey::oci
