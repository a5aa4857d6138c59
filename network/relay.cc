#include "network/relay.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "network/relay_worker.h"

namespace bailey::network {

namespace {

constexpr int kBacklog = 512;

Error cannot_bind(const Publish& publish, int err) {
  Error error = std::move(sys_error("publishing " + host_end(publish), err).error());
  const std::string port = std::to_string(publish.port);
  if (err == EADDRINUSE)
    error.remedy = "another program listens there: publish by another port, or by a free one with " + to_text(publish.address) +
                   "::" + port;
  if (err == EADDRNOTAVAIL) error.remedy = "name an address that this host has";
  if (err == EACCES) error.remedy = "publish by a port of 1024 or above, or as root";
  error.fault = err == EADDRINUSE || err == EADDRNOTAVAIL || err == EACCES ? Fault::unavailable : Fault::failed;
  return error;
}

Result<Fd> bind_port(Publish& publish) {
  const bool stream = publish.protocol == Protocol::tcp;
  Fd socket(::socket(AF_INET, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return sys_error("opening a socket to publish a port", errno);
  // TCP: connections of the run before may linger on that port (TIME_WAIT). For UDP it would let two have the same port. What
  // a client spoke to is what has to answer.
  const int on = 1;
  const int done = stream ? ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)
                          : ::setsockopt(socket.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  if (done < 0) return sys_error("setting up a socket to publish a port", errno);
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_port = htons(publish.host_port);
  own.sin_addr.s_addr = htonl(publish.address.value);
  socklen_t size = sizeof own;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), size) < 0)
    return std::unexpected(cannot_bind(publish, errno));
  if (stream && ::listen(socket.get(), kBacklog) < 0) return std::unexpected(cannot_bind(publish, errno));
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &size) < 0)
    return sys_error("reading the port that was published", errno);
  publish.host_port = ntohs(own.sin_port);
  return socket;
}

}  // namespace

Result<Relay> Relay::create(std::span<const Publish> ports, Ipv4 sandbox) {
  Relay result;
  if (ports.empty()) return result;
  std::vector<Fd> sockets;
  RelayWork work{sandbox, {}};
  WorkerSpec spec{"bailey-ports", {}, {}, kRelayDescriptors};
  for (Publish publish : ports) {
    sockets.push_back(TRY(bind_port(publish)));
    const int fd = sockets.back().get();
    work.listeners.push_back({fd, publish.protocol, publish.port});
    spec.keep.push_back(fd);
    if (publish.protocol == Protocol::tcp) spec.connects.push_back(publish.port);
    result.ports_.push_back(publish);
  }
  result.worker_ = TRY(Worker::create(spec, [&](int channel) { relay_ports(work, channel); }));
  return result;
}

}  // namespace bailey::network
