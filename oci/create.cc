// create: makes the container and leaves its command for `start`.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "dispatcher/events.h"
#include "dispatcher/patience.h"
#include "dispatcher/step_timer.h"
#include "oci/commands.h"
#include "oci/console.h"
#include "oci/containers.h"
#include "oci/request.h"

namespace bailey::oci {

namespace {

using namespace dispatcher;

constexpr int64_t kMakingMs = 120'000;

StreamOptions streams_of_caller() {
  StreamOptions streams;
  streams.output = StreamOptions::Output::hand_over;
  streams.attach_stdin = true;
  return streams;
}

}  // namespace

Result<int> create(const Call& call, const Runtime& runtime) {
  const std::string bundle = TRY(bundle_of(call));
  StateStore store = TRY(open_store(call));
  if (find(store, call.id)) return fail(Fault::bad_input, "container with id \"" + call.id + "\" already exists");
  Dispatcher dispatcher({.make_backend = runtime.make_backend}, StepTimer(runtime.started_ns));
  TRY(dispatcher.use_policy(""));
  dispatcher.take(TRY(make_request(call, bundle, dispatcher.policy())));
  Fd console;
  if (call.console_socket) console = TRY(connect_console(*call.console_socket));
  Events events;
  PatienceUntil patience(clock::Deadline::in_ms(kMakingMs));
  const auto made = [&]() -> Result<> {
    TRY(dispatcher.prepare(std::move(store), events, streams_of_caller(), patience));
    Sandbox& sandbox = dispatcher.sandbox();
    TRY(keep_config(sandbox.state_directory(), bundle));
    if (const Fd terminal = sandbox.take_terminal()) TRY(send_terminal(console.get(), terminal.get()));
    if (call.pid_file) TRY(write_pid_file(*call.pid_file, sandbox.pid()));
    return sandbox.leave();
  }();
  if (made) return 0;
  if (call.pid_file) (void)::unlink(call.pid_file->c_str());
  return std::unexpected(dispatcher.end(made.error()).error.value_or(made.error()));
}

}  // namespace bailey::oci
