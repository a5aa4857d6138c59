#include "gvisor/attached.h"

#include "gvisor/arguments.h"
#include "gvisor/launch.h"
#include "init/attached_instance.h"

namespace bailey::gvisor {

namespace {

constexpr std::string_view kByChannel = "channel:", kByRunsc = "runsc:", kHeld = "held:";

class ReachedByRunsc final : public init::AttachedInstance {
 public:
  ReachedByRunsc(Fd pidfd, std::string runsc_id, init::NamedChannel channel = {}, Phase phase = Phase::running)
      : AttachedInstance(std::move(pidfd), std::move(channel), phase), runsc_id_(std::move(runsc_id)) {}
  Result<> signal(int number) override {
    if (TRY(run_inside(exit_fd(), kill_arguments(runsc_id_, number))) == 0) return {};
    if (await_end(exit_fd(), clock::Deadline::in_ms(0))) return {};
    return fail(Fault::failed, "runsc does not deliver signal " + std::to_string(number));
  }
  Result<dispatcher::Entered> enter(const dispatcher::Job& job, dispatcher::EntryOptions options,
                                    dispatcher::Patience& patience) override {
    return gvisor::enter(exit_fd(), runsc_id_, job.process(), std::move(options), patience);
  }

 private:
  std::string runsc_id_;
};

}  // namespace

std::string handle_of(SignalsBy way, const std::string& runsc_id) {
  return std::string(way == SignalsBy::channel ? kByChannel : way == SignalsBy::runsc ? kByRunsc : kHeld) + runsc_id;
}

std::string handle_of_begun(const std::string& held) { return handle_of(SignalsBy::runsc, held.substr(kHeld.size())); }

Result<std::unique_ptr<dispatcher::Instance>> attach(const std::string& handle, Fd pidfd, int state) {
  if (handle.starts_with(kByRunsc)) return std::make_unique<ReachedByRunsc>(std::move(pidfd), handle.substr(kByRunsc.size()));
  if (handle.starts_with(kHeld))
    return std::make_unique<ReachedByRunsc>(std::move(pidfd), handle.substr(kHeld.size()), TRY(init::find_named_channel(state)),
                                            init::AttachedInstance::Phase::held_in_sentry);
  if (!handle.starts_with(kByChannel)) return fail(Fault::failed, "'" + handle + "' is no sandbox of the gvisor backend");
  init::NamedChannel channel = TRY(init::find_named_channel(state));
  if (!channel.to_init) return std::make_unique<ReachedByRunsc>(std::move(pidfd), handle.substr(kByChannel.size()));
  return std::make_unique<init::AttachedInstance>(std::move(pidfd), std::move(channel));
}

}  // namespace bailey::gvisor
