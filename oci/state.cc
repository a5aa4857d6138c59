// state: the container's state as a JSON document on stdout.
#include "base/files.h"
#include "oci/commands.h"
#include "oci/containers.h"

namespace bailey::oci {

Result<int> state(const Call& call, const Runtime&) {
  const dispatcher::StateStore store = TRY(open_store(call));
  const Container container = TRY(find(store, call.id));
  TRY(files::write_fd(1, state_document(call.id, container), "stdout"));
  return 0;
}

}  // namespace bailey::oci
