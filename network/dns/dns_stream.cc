#include "network/dns/dns_stream.h"

#include <netinet/in.h>

#include <cerrno>

namespace bailey::network::dns {

namespace {
bool later(int err) { return err == EAGAIN || err == EINTR || err == ENOTCONN; }  // ENOTCONN: still connecting
}  // namespace

size_t Stream::wanted() const {
  if (in_.size() < 2) return 2;
  return 2 + (static_cast<size_t>(static_cast<uint8_t>(in_[0])) << 8 | static_cast<uint8_t>(in_[1]));
}

short Stream::events() const {
  const bool whole = in_.size() >= 2 && in_.size() >= wanted();
  return static_cast<short>((whole || ended_ ? 0 : POLLIN) | (out_.empty() ? 0 : POLLOUT));
}

void Stream::send(const std::string& message) {
  out_ += static_cast<char>(message.size() >> 8);
  out_ += static_cast<char>(message.size());
  out_ += message;
}

bool Stream::step() {
  if (!out_.empty()) {
    const ssize_t sent = ::send(fd(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent < 0 && !later(errno)) return false;
    if (sent > 0) out_.erase(0, static_cast<size_t>(sent));
  }
  while (in_.size() < wanted() && !ended_) {
    char buffer[4096];
    // No byte beyond the message: the next one waits in the kernel, and holds its sender up there.
    const size_t room = std::min(sizeof buffer, wanted() - in_.size());
    const ssize_t got = ::recv(fd(), buffer, room, 0);
    if (got < 0) return later(errno);
    ended_ = got == 0;
    in_.append(buffer, static_cast<size_t>(got));
    if (wanted() > 2 + largest_) return false;
    if (in_.size() == 2 && wanted() == 2) return false;  // a message of nothing
  }
  return true;
}

std::optional<std::string> Stream::take() {
  if (in_.size() < 2 || in_.size() < wanted()) return std::nullopt;
  std::string message = in_.substr(2);
  in_.clear();
  return message;
}

Result<Exchange> Exchange::create(const sockaddr_storage& server, Transport transport, const std::string& question) {
  const int kind = transport == Transport::udp ? SOCK_DGRAM : SOCK_STREAM;
  Fd socket(::socket(server.ss_family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return sys_error("opening a socket to a name server", errno);
  const socklen_t size = server.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&server), size) < 0 && errno != EINPROGRESS)
    return sys_error("connecting to a name server", errno);
  Exchange result;
  result.transport_ = transport;
  if (transport == Transport::tcp) {
    result.stream_ = Stream(std::move(socket), kLargest);
    result.stream_.send(question);
    return result;
  }
  if (::send(socket.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) return sys_error("asking a name server", errno);
  result.datagrams_ = std::move(socket);
  return result;
}

Result<std::optional<std::string>> Exchange::receive() {
  if (transport_ == Transport::tcp) {
    const bool open = stream_.step() && !stream_.ended();
    auto message = stream_.take();
    if (!message && !open) return fail(Fault::failed, "the name server closed the connection");
    return message;
  }
  char buffer[4096];  // more than was offered to take
  const ssize_t got = ::recv(datagrams_.get(), buffer, sizeof buffer, MSG_TRUNC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (got < 0) return sys_error("hearing from a name server", errno);
  if (static_cast<size_t>(got) > sizeof buffer) return std::string();
  return std::string(buffer, static_cast<size_t>(got));
}

}  // namespace bailey::network::dns
