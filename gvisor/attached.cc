#include "gvisor/attached.h"

#include "gvisor/arguments.h"
#include "gvisor/launch.h"
#include "init/attached_instance.h"

namespace bailey::gvisor {

namespace {

constexpr std::string_view kByChannel = "channel:", kByRunsc = "runsc:";

class ReachedByRunsc final : public init::AttachedInstance {
 public:
  ReachedByRunsc(Fd pidfd, std::string runsc_id) : AttachedInstance(std::move(pidfd), {}), runsc_id_(std::move(runsc_id)) {}
  Result<> signal(int number) override {
    if (TRY(run_inside(exit_fd(), kill_arguments(runsc_id_, number))) == 0) return {};
    if (await_end(exit_fd(), clock::Deadline::in_ms(0))) return {};
    return fail(Fault::failed, "runsc does not deliver signal " + std::to_string(number));
  }

 private:
  std::string runsc_id_;
};

}  // namespace

std::string handle_of(SignalsBy way, const std::string& runsc_id) {
  return std::string(way == SignalsBy::channel ? kByChannel : kByRunsc) + runsc_id;
}

Result<std::unique_ptr<dispatcher::Instance>> attach(const std::string& handle, Fd pidfd, int state) {
  if (handle.starts_with(kByRunsc)) return std::make_unique<ReachedByRunsc>(std::move(pidfd), handle.substr(kByRunsc.size()));
  if (!handle.starts_with(kByChannel)) return fail(Fault::failed, "'" + handle + "' is no sandbox of the gvisor backend");
  init::NamedChannel channel = TRY(init::find_named_channel(state));
  if (!channel.to_init) return std::make_unique<ReachedByRunsc>(std::move(pidfd), handle.substr(kByChannel.size()));
  return std::make_unique<init::AttachedInstance>(std::move(pidfd), std::move(channel));
}

}  // namespace bailey::gvisor
