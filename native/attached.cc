#include "native/attached.h"

#include "dispatcher/seccomp_oci.h"
#include "init/attached_instance.h"
#include "init/encode.h"
#include "native/enter.h"
#include "native/instance.h"

namespace bailey::native {

namespace {

class NativeAttached final : public init::AttachedInstance {
 public:
  using AttachedInstance::AttachedInstance;

  Result<dispatcher::Entered> enter(const dispatcher::Job& job, dispatcher::EntryOptions options,
                                    dispatcher::Patience& patience) override {
    const bundle::Process& process = job.process();
    const auto filter = TRY(dispatcher::compile_engine_filter(options.seccomp));
    const auto sets = TRY(bundle::parse_engine_capabilities(process.capabilities));
    std::string encoded = TRY(init::encode_job(process, init::UserChange::by_init, {filter.program, filter.flags},
                                               init::privileges_of(sets, process.no_new_privileges)));
    init::become_pid_1(encoded);
    return native::enter({.pidfd = exit_fd(),
                          .cgroups = std::move(options.cgroups),
                          .stdio = std::move(options.stdio),
                          .terminal = process.terminal,
                          .terminal_owner = process.user.uid,
                          .new_keyring = options.new_keyring,
                          .job = std::move(encoded),
                          .process = process},
                         patience);
  }
};

}  // namespace

Result<std::unique_ptr<dispatcher::Instance>> attach(const std::string& handle, Fd pidfd, int state) {
  init::NamedChannel channel;
  if (handle == kInitHandle || handle == kHeldHandle) channel = TRY(init::find_named_channel(state));
  else if (handle != kPid1Handle) return fail(Fault::failed, "'" + handle + "' is no sandbox of the native backend");
  using Phase = init::AttachedInstance::Phase;
  const Phase phase = handle == kHeldHandle ? Phase::held : Phase::running;
  return std::make_unique<NativeAttached>(std::move(pidfd), std::move(channel), phase);
}

}  // namespace bailey::native
