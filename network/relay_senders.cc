#include "network/relay_senders.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace bailey::network {

namespace {

constexpr int kSilenceMs = 60'000;
constexpr int kShare = 64;
constexpr size_t kLongest = 65536;

// A datagram and the address of ours that goes with it: where it came to, or where it is to come from.
struct Envelope {
  explicit Envelope(size_t size) : data{bytes(), size} {
    message.msg_name = &peer;
    message.msg_namelen = sizeof peer;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  }
  static char* bytes() {
    static char buffer[kLongest];
    return buffer;
  }
  sockaddr_in peer{};
  iovec data;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo))] = {};
  msghdr message{};
};

}  // namespace

Senders::Sender* Senders::find(const RelayWork::Listener& listener, const sockaddr_in& peer, in_addr local, int epoll) {
  const auto known = std::ranges::find_if(all_, [&](const Sender& sender) {
    return sender.listener == &listener && sender.peer.sin_port == peer.sin_port &&
           sender.peer.sin_addr.s_addr == peer.sin_addr.s_addr && sender.local.s_addr == local.s_addr;
  });
  if (known != all_.end()) return &*known;
  if (all_.size() >= most_) all_.pop_front();
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(listener.port);
  to.sin_addr.s_addr = htonl(sandbox_.value);
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0) return nullptr;
  Sender& made = all_.emplace_back(Sender{&listener, peer, local, std::move(socket), {}});
  epoll_event event{EPOLLIN, {.ptr = &made}};
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, made.socket.get(), &event) == 0) return &made;
  all_.pop_back();
  return nullptr;
}

bool Senders::holds(const void* sender) const {
  return std::ranges::any_of(all_, [&](const Sender& one) { return &one == sender; });
}

void Senders::touch(Sender& sender) {
  sender.forgotten = clock::Deadline::in_ms(kSilenceMs);
  const auto here = std::ranges::find_if(all_, [&](const Sender& one) { return &one == &sender; });
  all_.splice(all_.end(), all_, here);
}

void Senders::take(const RelayWork::Listener& listener, int epoll) {
  for (int i = 0; i < kShare; ++i) {
    Envelope envelope(kLongest);
    const ssize_t got = ::recvmsg(listener.fd, &envelope.message, MSG_DONTWAIT);
    if (got < 0) return;
    in_addr local{};
    for (cmsghdr* header = CMSG_FIRSTHDR(&envelope.message); header; header = CMSG_NXTHDR(&envelope.message, header)) {
      if (header->cmsg_level != IPPROTO_IP || header->cmsg_type != IP_PKTINFO) continue;
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      local = info.ipi_addr;
    }
    Sender* sender = find(listener, envelope.peer, local, epoll);
    if (!sender) continue;
    touch(*sender);
    // Lost like any datagram when the sandbox does not read, or is not there.
    (void)::send(sender->socket.get(), Envelope::bytes(), static_cast<size_t>(got), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

void Senders::answer(Sender& sender) {
  touch(sender);
  for (int i = 0; i < kShare; ++i) {
    const ssize_t got = ::recv(sender.socket.get(), Envelope::bytes(), kLongest, MSG_DONTWAIT);
    if (got < 0) return;
    Envelope envelope(static_cast<size_t>(got));
    envelope.peer = sender.peer;
    cmsghdr* header = CMSG_FIRSTHDR(&envelope.message);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo info{};
    info.ipi_spec_dst = sender.local;
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    (void)::sendmsg(sender.listener->fd, &envelope.message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

clock::Deadline Senders::next() const { return all_.empty() ? clock::Deadline() : all_.front().forgotten; }

void Senders::expire() {
  while (!all_.empty() && all_.front().forgotten.passed()) all_.pop_front();
}

}  // namespace bailey::network
