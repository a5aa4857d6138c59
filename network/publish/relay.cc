#include "network/publish/relay.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "network/ip/socket_address.h"
#include "network/publish/relay_worker.h"

namespace bailey::network {

namespace {

constexpr int kBacklog = 512;

Error cannot_bind(const Publish& publish, int err) {
  Error error = std::move(sys_error("publishing " + host_end(publish), err).error());
  if (err == EADDRINUSE)
    error.remedy = "another program listens there: publish by another port, or by a free one with " +
                   to_text(Publish{publish.address, 0, publish.port, publish.protocol});
  if (err == EADDRNOTAVAIL) error.remedy = "name an address that this host has";
  if (err == EACCES) error.remedy = "publish by a port of 1024 or above, or as root";
  error.fault = err == EADDRINUSE || err == EADDRNOTAVAIL || err == EACCES ? Fault::unavailable : Fault::failed;
  return error;
}

Result<Fd> bind_port(Publish& publish) {
  const bool stream = publish.protocol == Protocol::tcp;
  Fd socket(::socket(family_of(publish.address.ip), (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return sys_error("opening a socket to publish a port", errno);
  // TCP: connections of the run before may linger on that port (TIME_WAIT). For UDP it would let two have the same port. What
  // a client spoke to is what has to answer.
  const bool v6 = publish.address.ip == Ip::v6;
  const auto set = [&](int level, int option) {
    const int on = 1;
    return ::setsockopt(socket.get(), level, option, &on, sizeof on) == 0;
  };
  const bool done = stream ? set(SOL_SOCKET, SO_REUSEADDR)
                    : v6   ? set(IPPROTO_IPV6, IPV6_RECVPKTINFO)
                           : set(IPPROTO_IP, IP_PKTINFO);
  if (!done || (v6 && !set(IPPROTO_IPV6, IPV6_V6ONLY))) return sys_error("setting up a socket to publish a port", errno);
  SocketAddress own = socket_address(publish.address, publish.host_port);
  if (::bind(socket.get(), own.get(), own.size) < 0) return std::unexpected(cannot_bind(publish, errno));
  if (stream && ::listen(socket.get(), kBacklog) < 0) return std::unexpected(cannot_bind(publish, errno));
  if (::getsockname(socket.get(), own.get(), &own.size) < 0) return sys_error("reading the port that was published", errno);
  publish.host_port = port_of(own);
  return socket;
}

}  // namespace

Result<Listeners> bind_ports(std::span<const Publish> ports) {
  Listeners result;
  for (Publish publish : ports) {
    result.sockets.push_back(TRY(bind_port(publish)));
    result.ports.push_back(publish);
  }
  return result;
}

Result<Relay> Relay::begin(Listeners listeners, const Address& sandbox) {
  Relay result;
  if (listeners.ports.empty()) return result;
  RelayWork work{sandbox, {}};
  WorkerSpec spec{"bailey-ports", {}, {}, kRelayDescriptors};
  for (size_t i = 0; i < listeners.ports.size(); ++i) {
    const Publish& publish = listeners.ports[i];
    const int fd = listeners.sockets[i].get();
    work.listeners.push_back({fd, publish.protocol, publish.port});
    spec.keep.push_back(fd);
    if (publish.protocol == Protocol::tcp) spec.connects.push_back(publish.port);
  }
  result.ports_ = std::move(listeners.ports);
  result.worker_ = TRY(Worker::begin(spec, [&](int channel) { relay_ports(work, channel); }));
  return result;
}

}  // namespace bailey::network
