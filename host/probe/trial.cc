#include "host/probe/trial.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/child.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/files.h"
#include "base/result.h"

namespace bailey::host {

namespace {

constexpr int64_t kTrialMs = 5000;

struct Message {
  int64_t value;
  int err;
  char step[32];
};

bool write_line(TrialSteps& step, const char* path, const std::string& text) {
  const auto written = files::write_existing(AT_FDCWD, path, text);
  if (!written) step.fail(path, written.error().sys);
  return written.has_value();
}

}  // namespace

std::string Trial::text() const {
  if (ok()) return "works";
  return step + ": " + errno_name(err) + " (" + std::strerror(err) + ")";
}

bool TrialSteps::operator()(bool good, const char* name) {
  if (!good) fail(name, errno);
  return good;
}

void TrialSteps::fail(const char* name, int errno_value) {
  err = errno_value ? errno_value : EIO;
  std::snprintf(step, sizeof step, "%s", name);
}

Trial try_in_child(const std::function<void(TrialSteps&)>& act) {
  auto channel = create_pipe();
  if (!channel) return {channel.error().sys, 0, "pipe"};
  const pid_t child = ::fork();
  if (child < 0) return {errno, 0, "fork"};
  if (child == 0) {
    ::prctl(PR_SET_DUMPABLE, 1);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    TrialSteps steps;
    act(steps);
    Message message{steps.value, steps.err, {}};
    std::memcpy(message.step, steps.step, sizeof message.step);
    ::_exit(::write(channel->write.get(), &message, sizeof message) == sizeof message ? 0 : 1);
  }
  channel->write.reset();
  const auto deadline = clock::Deadline::in_ms(kTrialMs);
  pollfd poll{channel->read.get(), POLLIN, 0};
  int ready = -1;
  do {
    ready = ::poll(&poll, 1, deadline.poll_ms());
  } while (ready < 0 && errno == EINTR);
  Message message{};
  const bool told = ready > 0 && ::read(channel->read.get(), &message, sizeof message) == sizeof message;
  ::kill(child, SIGKILL);
  (void)await_child(child);
  if (!told) return {ready == 0 ? ETIMEDOUT : EINTR, 0, "child"};
  return {message.err, message.value, message.step};
}

bool enter_user_namespace(TrialSteps& step, int more) {
  const std::string uid = std::to_string(::geteuid()), gid = std::to_string(::getegid());
  if (!step(::unshare(CLONE_NEWUSER | more) == 0, "unshare")) return false;
  if (!write_line(step, "/proc/self/setgroups", "deny")) return false;
  return write_line(step, "/proc/self/uid_map", "0 " + uid + " 1") && write_line(step, "/proc/self/gid_map", "0 " + gid + " 1");
}

}  // namespace bailey::host
