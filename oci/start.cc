// start: begins the command of a container that `create` has made.
#include "dispatcher/attached.h"
#include "dispatcher/patience.h"
#include "oci/commands.h"
#include "oci/containers.h"
#include "oci/words.h"

namespace bailey::oci {

namespace {

using namespace dispatcher;
constexpr int64_t kStartMs = 60'000;

}  // namespace

Result<int> start(const Call& call, const Runtime& runtime) {
  StateStore store = TRY(open_store(call));
  const Container container = TRY(find(store, call.id));
  if (!container.first_process)
    return fail(Fault::bad_input,
                "cannot start a container that has stopped: container \"" + call.id + "\" is not in created state");
  if (container.record.status == Status::running)
    return fail(Fault::bad_input, "cannot start an already running container: \"" + call.id + "\" is not in created state");
  Attached attached = TRY(Attached::open(store, call.id, backends_by_name(runtime.make_backend)));
  PatienceUntil patience(clock::Deadline::in_ms(kStartMs));
  TRY(attached.begin(patience));
  return 0;
}

}  // namespace bailey::oci
