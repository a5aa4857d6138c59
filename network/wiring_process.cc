#include "network/wiring_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "base/child.h"

namespace bailey::network {

namespace {

constexpr size_t kTextRoom = 1024;

// What the child answers, once: all is made, or why not.
struct MakingAnswer {
  bool made = false;
  Fault fault = Fault::failed;
  int sys = 0;
  char message[kTextRoom] = {};
  char remedy[kTextRoom] = {};
};

MakingAnswer answer_of(const Result<Wiring>& made) {
  MakingAnswer answer;
  answer.made = made.has_value();
  if (made) return answer;
  answer.fault = made.error().fault;
  answer.sys = made.error().sys;
  made.error().message.copy(answer.message, kTextRoom - 1);
  made.error().remedy.copy(answer.remedy, kTextRoom - 1);
  return answer;
}

// What a terminal or a service manager sends to all of us is the parent's affair: this one is told by the parent's end.
void block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

void await_end_of(int channel) {
  char byte;
  while (::recv(channel, &byte, 1, 0) < 0 && errno == EINTR) {}
}

bool take_away(Wiring& wiring) {
  wiring.port.await_end();
  return wiring.port.reset() && wiring.firewall.reset();  // the port is never without its filter
}

[[noreturn]] void be_wiring_process(const std::function<Result<Wiring>()>& make, int netns, std::vector<int> keep,
                                    int channel) {
  block_signals();
  ::prctl(PR_SET_NAME, "bailey-network");
  Fd end(channel), sandbox(netns);
  keep.push_back(channel);
  const auto alone = keep_only(std::move(keep));
  Result<Wiring> wiring = alone ? make() : Result<Wiring>(std::unexpected(alone.error()));
  const MakingAnswer answer = answer_of(wiring);
  const bool told = ::send(channel, &answer, sizeof answer, MSG_NOSIGNAL) >= 0;
  if (!wiring) ::_exit(1);
  if (told) await_end_of(channel);
  sandbox.reset();
  ::_exit(take_away(*wiring) ? 0 : 1);
}

}  // namespace

Result<WiringProcess> WiringProcess::begin(const std::function<Result<Wiring>()>& make, int netns, std::vector<int> keep) {
  SocketPair pair = TRY(create_socket_pair());
  WiringProcess wiring_process;
  wiring_process.pid_ = ::fork();
  if (wiring_process.pid_ < 0) return sys_error("forking for the network", errno);
  if (wiring_process.pid_ == 0) be_wiring_process(make, netns, std::move(keep), pair.theirs.release());
  wiring_process.channel_ = std::move(pair.ours);
  return wiring_process;
}

Result<> WiringProcess::await() {
  MakingAnswer answer;
  const auto got =
      receive_message(channel_.get(), reinterpret_cast<char*>(&answer), sizeof answer, "waiting for the network to be made");
  if (got && got->size == sizeof answer && answer.made) return {};
  channel_.reset();
  const auto status = await_child(std::exchange(pid_, -1));
  if (!got) return std::unexpected(got.error());
  if (got->size != sizeof answer)
    return fail(Fault::failed,
                "making the network: its process ended with " + (status ? describe_status(*status) : std::string("no word")));
  return std::unexpected(Error{answer.message, answer.remedy, answer.fault, answer.sys, {}});
}

bool WiringProcess::let_go() {
  char byte;
  const bool there = ::recv(channel_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 0;
  channel_.reset();
  return there;
}

}  // namespace bailey::network
