#include "network/publish/relay_senders.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace bailey::network {

namespace {

constexpr int kSilenceMs = 60'000;
constexpr int kShare = 64;
constexpr size_t kLongest = 65536;

// From now on the socket hears nobody: one that is connected to itself takes datagrams of nobody else. What was for its last
// user is gone. No filter (SO_ATTACH_FILTER): the memory for those is the host's, and a worker may attach none.
bool park(int socket) {
  SocketAddress own;
  if (::getsockname(socket, own.get(), &own.size) < 0 || ::connect(socket, own.get(), own.size) < 0) return false;
  while (::recv(socket, nullptr, 0, MSG_DONTWAIT | MSG_TRUNC) >= 0) {}
  return true;
}

// A datagram and the address of ours that goes with it: where it came to, or where it is to come from.
struct Envelope {
  Envelope(size_t size, const SocketAddress& other) : peer(other), data{bytes(), size} {
    message.msg_name = peer.get();
    message.msg_namelen = peer.size;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  }
  static char* bytes() {
    static char buffer[kLongest];
    return buffer;
  }
  SocketAddress peer;
  iovec data;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))] = {};  // the larger of both families'
  msghdr message{};
};

template <typename T>
std::optional<Address> read_info(const cmsghdr* header, size_t offset) {
  uint8_t bytes[sizeof(T)];
  std::memcpy(bytes, CMSG_DATA(header) + offset, sizeof bytes);
  return read_address(bytes);
}

std::optional<Address> local_of(msghdr& message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO)
      return read_info<in_addr>(header, offsetof(in_pktinfo, ipi_addr));
    if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO)
      return read_info<in6_addr>(header, offsetof(in6_pktinfo, ipi6_addr));
  }
  return std::nullopt;
}

void set_local(msghdr& message, const Address& local) {
  const bool v4 = local.ip == Ip::v4;
  const size_t size = v4 ? sizeof(in_pktinfo) : sizeof(in6_pktinfo);
  message.msg_controllen = CMSG_SPACE(size);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  header->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
  header->cmsg_len = CMSG_LEN(size);
  const WireAddress wire = to_wire(local);
  const size_t offset = v4 ? offsetof(in_pktinfo, ipi_spec_dst) : offsetof(in6_pktinfo, ipi6_addr);
  std::memcpy(CMSG_DATA(header) + offset, wire.data(), wire.size());
}

}  // namespace

UdpSenders::Sender* UdpSenders::find(const RelayWork::Listener& listener, const SocketAddress& peer, const Address& local) {
  const auto known = std::ranges::find_if(all_, [&](const Sender& sender) {
    return sender.listener == &listener && port_of(sender.peer) == port_of(peer) &&
           address_of(sender.peer) == address_of(peer) && sender.local == local;
  });
  if (known != all_.end()) return &*known;
  if (all_.size() >= most_) forget_first();
  Fd socket = open_socket(listener.port);
  if (!socket) return nullptr;
  Sender& made = all_.emplace_back(Sender{&listener, peer, local, std::move(socket), {}});
  epoll_event event{EPOLLIN, {.ptr = &made}};
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, made.socket.get(), &event) == 0) return &made;
  retire(std::move(made.socket));
  all_.pop_back();
  return nullptr;
}

// A new one as long as there are few, then the one that has been idle for longest. Connecting it to another port of the sandbox
// leaves it its own.
Fd UdpSenders::open_socket(uint16_t port) {
  Fd socket;
  if (all_.size() + idle_.size() < 2 * most_) {
    socket = Fd(::socket(family_of(sandbox_.ip), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  } else {
    socket = std::move(idle_.front());
    idle_.pop_front();
    if (!park(socket.get())) return {};  // if it could not be parked before
  }
  const SocketAddress to = socket_address(sandbox_, port);
  if (!socket || ::connect(socket.get(), to.get(), to.size) < 0) return {};
  return socket;
}

void UdpSenders::retire(Fd socket) {
  (void)park(socket.get());
  idle_.push_back(std::move(socket));
}

void UdpSenders::forget_first() {
  Fd socket = std::move(all_.front().socket);
  all_.pop_front();
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, socket.get(), nullptr);
  retire(std::move(socket));
}

bool UdpSenders::holds(const void* sender) const {
  return std::ranges::any_of(all_, [&](const Sender& one) { return &one == sender; });
}

void UdpSenders::touch(Sender& sender) {
  sender.forgotten = clock::Deadline::in_ms(kSilenceMs);
  const auto here = std::ranges::find_if(all_, [&](const Sender& one) { return &one == &sender; });
  all_.splice(all_.end(), all_, here);
}

void UdpSenders::take(const RelayWork::Listener& listener) {
  for (int i = 0; i < kShare; ++i) {
    Envelope envelope(kLongest, {});
    const ssize_t got = ::recvmsg(listener.fd, &envelope.message, MSG_DONTWAIT);
    if (got < 0) return;
    envelope.peer.size = envelope.message.msg_namelen;
    const auto local = local_of(envelope.message);
    Sender* sender = local ? find(listener, envelope.peer, *local) : nullptr;
    if (!sender) continue;
    touch(*sender);
    // Lost like any datagram when the sandbox does not read, or is not there.
    (void)::send(sender->socket.get(), Envelope::bytes(), static_cast<size_t>(got), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

void UdpSenders::answer(Sender& sender) {
  touch(sender);
  for (int i = 0; i < kShare; ++i) {
    const ssize_t got = ::recv(sender.socket.get(), Envelope::bytes(), kLongest, MSG_DONTWAIT);
    if (got < 0) return;
    Envelope envelope(static_cast<size_t>(got), sender.peer);
    set_local(envelope.message, sender.local);
    (void)::sendmsg(sender.listener->fd, &envelope.message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

clock::Deadline UdpSenders::next() const { return all_.empty() ? clock::Deadline() : all_.front().forgotten; }

void UdpSenders::expire() {
  while (!all_.empty() && all_.front().forgotten.passed()) forget_first();
}

}  // namespace bailey::network
