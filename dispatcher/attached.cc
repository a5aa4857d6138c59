#include "dispatcher/attached.h"

#include <poll.h>

#include <cerrno>
#include <utility>

#include "base/pidfd.h"
#include "dispatcher/garbage.h"
#include "host/cgroup/cgroup.h"

namespace bailey::dispatcher {

Result<Attached> Attached::open(StateStore& store, const std::string& id, const BackendByName& backend) {
  Attached attached(store, id);
  attached.entry_ = TRY(store.attach(id));
  attached.record_ = TRY(store.read(id));
  Fd pidfd = TRY(attached.record_.sandbox.open());
  if (!pidfd) return attached;
  attached.backend_ = TRY(backend(attached.record_.backend));
  attached.instance_ = TRY(attached.backend_->attach(attached.record_.handle, std::move(pidfd), attached.entry_.directory()));
  return attached;
}

bool Attached::lives() const { return instance_ && !await_end(instance_->exit_fd(), clock::Deadline::in_ms(0)); }

Result<> Attached::begin(Patience& patience) {
  if (!lives()) return fail(Fault::refused, "the sandbox '" + id_ + "' has ended");
  if (record_.status != Status::created) return fail(Fault::refused, "the sandbox '" + id_ + "' runs already");
  TRY(instance_->begin(patience));
  record_.status = Status::running;
  record_.handle = backend_->handle_of_begun(record_.handle);
  return entry_.write(record_);
}

Result<> Attached::signal(int number) {
  if (!lives()) return {};
  return instance_->signal(number);
}

Result<std::optional<Ending>> Attached::wait(clock::Deadline deadline) {
  if (!instance_)
    return fail(Fault::failed, "the sandbox '" + id_ + "' had ended before this process looked: how is not known");
  std::vector<pollfd> set;
  for (;;) {
    set.assign(1, {instance_->exit_fd(), POLLIN, 0});
    instance_->add_interest(set);
    if (::poll(set.data(), set.size(), deadline.poll_ms()) < 0 && errno != EINTR) return sys_error("poll", errno);
    TRY(instance_->serve(std::span(set).subspan(1)));
    if (instance_->has_announced_end() || set.front().revents != 0) return TRY(instance_->reap());
    if (deadline.passed()) return std::nullopt;
  }
}

Result<> Attached::remove(const std::string& cgroup_parent) {
  // A frozen process does not end, however it was killed (cgroup v1).
  if (TRY(host::is_frozen(record_.cgroups))) TRY(host::freeze_cgroups(record_.cgroups, false));
  if (instance_ && !instance_->end(clock::Deadline::in_ms(kEndMs)))
    return fail(Fault::failed, "the sandbox '" + id_ + "' could not be ended: a process of it sleeps in the kernel",
                "'bailey gc' removes it when that has given way");
  instance_.reset();
  TRY(cgroup_collector(*store_, cgroup_parent)(id_));
  entry_.remove();
  return {};
}

}  // namespace bailey::dispatcher
