#include "network/publish/relay_worker.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <unordered_map>

#include "network/publish/relay_connection.h"
#include "network/publish/relay_senders.h"

namespace bailey::network {

namespace {

constexpr int kEvents = 64;

class RelayLoop {
 public:
  RelayLoop(const RelayWork& work, int channel);
  void run();

 private:
  bool add(int fd, uint32_t events, const void* what);
  void watch_listeners(bool watched);
  void accept_from(const RelayWork::Listener& listener);
  void pump(Connection* connection);
  void dispatch(const epoll_event& event);

  const RelayWork& work_;
  const int channel_;
  Fd epoll_;
  size_t most_connections_;
  PipePool pipes_;
  UdpSenders senders_;
  std::unordered_map<const void*, std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> busy_;
  std::vector<std::unique_ptr<Connection>> over_;  // until no event of this round can name them
  bool watched_ = false, ended_ = false;
};

size_t connections_that_fit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= kRelayDescriptors) return kMostConnections;
  const size_t other = kRelayDescriptors - kMostConnections * 6;
  return limit.rlim_cur > other + 6 ? (limit.rlim_cur - other) / 6 : 1;
}

RelayLoop::RelayLoop(const RelayWork& work, int channel)
    : work_(work),
      channel_(channel),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      most_connections_(connections_that_fit()),
      senders_(work.sandbox, kMostSenders, epoll_.get()) {}

bool RelayLoop::add(int fd, uint32_t events, const void* what) {
  epoll_event event{events, {.ptr = const_cast<void*>(what)}};
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

// Off while there are as many connections as there may be: the next wait in the kernel, up to the backlog.
void RelayLoop::watch_listeners(bool watched) {
  if (watched == watched_) return;
  watched_ = watched;
  for (const auto& listener : work_.listeners)
    if (listener.protocol == Protocol::tcp) {
      if (watched) add(listener.fd, EPOLLIN, &listener);
      else ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.fd, nullptr);
    }
}

void RelayLoop::run() {
  if (!add(channel_, EPOLLIN, this)) return;
  for (const auto& listener : work_.listeners)
    if (listener.protocol == Protocol::udp && !add(listener.fd, EPOLLIN, &listener)) return;
  while (!ended_) {
    watch_listeners(connections_.size() < most_connections_);
    epoll_event events[kEvents];
    const int count = ::epoll_wait(epoll_.get(), events, kEvents, busy_.empty() ? senders_.next().poll_ms() : 0);
    if (count < 0 && errno != EINTR) return;
    for (Connection* connection : std::exchange(busy_, {})) pump(connection);
    for (int i = 0; i < count; ++i) dispatch(events[i]);
    over_.clear();
    senders_.expire();
  }
}

void RelayLoop::dispatch(const epoll_event& event) {
  if (event.data.ptr == this) {
    ended_ = true;
    return;
  }
  for (const auto& listener : work_.listeners)
    if (event.data.ptr == &listener)
      return listener.protocol == Protocol::tcp ? accept_from(listener) : senders_.take(listener);
  if (const auto found = connections_.find(event.data.ptr); found != connections_.end()) return pump(found->second.get());
  if (senders_.holds(event.data.ptr)) senders_.answer(*static_cast<UdpSenders::Sender*>(event.data.ptr));
}

void RelayLoop::accept_from(const RelayWork::Listener& listener) {
  while (connections_.size() < most_connections_) {
    Fd client(::accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) return;
    auto connection = std::make_unique<Connection>(std::move(client), work_.sandbox, listener.port);
    Connection* made = connection.get();
    connections_.emplace(made, std::move(connection));
    // Told once for each change: pump() moves all there is, or says that it is busy.
    constexpr uint32_t kChanges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (add(made->client(), kChanges, made) && add(made->sandbox(), kChanges, made)) pump(made);
    else connections_.erase(made);
  }
}

void RelayLoop::pump(Connection* connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  const auto state = connection->pump(pipes_);
  if (state == Connection::State::waiting) return;
  if (state == Connection::State::busy) {
    if (std::ranges::find(busy_, connection) == busy_.end()) busy_.push_back(connection);
    return;
  }
  if (state == Connection::State::broken) connection->abort();
  over_.push_back(std::move(found->second));
  connections_.erase(found);
}

}  // namespace

void relay_ports(const RelayWork& work, int channel) { RelayLoop(work, channel).run(); }

}  // namespace bailey::network
