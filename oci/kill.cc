// kill: a signal to the container's first process, or to all of its processes.
#include <fcntl.h>

#include <csignal>

#include "base/files.h"
#include "base/pidfd.h"
#include "host/cgroup/cgroup.h"
#include "oci/commands.h"
#include "oci/containers.h"
#include "oci/signals.h"
#include "oci/words.h"

namespace bailey::oci {

Result<int> kill(const Call& call, const Runtime& runtime) {
  if (call.words.size() > 1) return fail(Fault::bad_input, "kill: '" + call.words[1] + "' is a word too many");
  const int number = call.words.empty() ? SIGTERM : TRY(parse_signal(call.words.front()));
  const dispatcher::StateStore store = TRY(open_store(call));
  Container container = TRY(find(store, call.id));
  if (call.all) {
    TRY(host::signal_cgroups(container.record.cgroups, number));
    return 0;
  }
  if (!container.first_process) return std::unexpected(not_running(call.id));
  // Not by Attached: whoever holds the container at this moment must not keep a signal from it.
  const auto backend = TRY(backends_by_name(runtime.make_backend)(container.record.backend));
  const Fd directory = TRY(files::open_at(store.directory(), call.id, O_RDONLY | O_DIRECTORY));
  const auto instance = TRY(backend->attach(container.record.handle, std::move(container.first_process), directory.get()));
  auto sent = instance->signal(number);
  if (!sent && await_end(instance->exit_fd(), clock::Deadline::in_ms(0))) return std::unexpected(not_running(call.id));
  TRY(std::move(sent));
  // A frozen process does not end, however it was killed (cgroup v1).
  const auto& cgroups = container.record.cgroups;
  if (number == SIGKILL && host::is_frozen(cgroups).value_or(false)) TRY(host::freeze_cgroups(cgroups, false));
  return 0;
}

}  // namespace bailey::oci
