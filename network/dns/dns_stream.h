// DNS messages over sockets that do not block. A Stream is TCP with two bytes of length before each message (RFC 1035 4.2.2);
// an Exchange is one question to one server.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "network/dns/dns_message.h"

namespace bailey::network::dns {

class Stream {
 public:
  Stream() = default;
  // A non-blocking socket. A message longer than `largest` ends the stream; nothing is read while one waits to be taken.
  Stream(Fd socket, size_t largest) : socket_(std::move(socket)), largest_(largest) {}
  int fd() const { return socket_.get(); }
  short events() const;
  void send(const std::string& message);  // goes out by and by
  bool idle() const { return out_.empty(); }
  bool step();  // moves what can be moved; false: the stream is broken
  std::optional<std::string> take();
  // The other side sends no more. It may still read: a client that has asked all it wants (shutdown(2)) waits for answers.
  bool ended() const { return ended_; }

 private:
  size_t wanted() const;  // bytes of in_ that make a message with its length
  Fd socket_;
  size_t largest_ = 0;
  std::string in_, out_;
  bool ended_ = false;
};

// A new socket for each, so that the kernel gives it a source port of its own that nobody can foresee (RFC 5452), and drops
// what others than this server send.
class Exchange {
 public:
  enum class Transport { udp, tcp };
  Exchange() = default;
  static Result<Exchange> create(const sockaddr_storage& server, Transport transport, const std::string& question);
  int fd() const { return transport_ == Transport::udp ? datagrams_.get() : stream_.fd(); }
  short events() const { return transport_ == Transport::udp ? short{POLLIN} : stream_.events(); }
  // When poll(2) says that there is something: a message, nothing yet, or an error: this server will not answer. By UDP
  // there may be more after a message that was not the answer.
  Result<std::optional<std::string>> receive();

 private:
  Transport transport_ = Transport::udp;
  Fd datagrams_;
  Stream stream_;
};

}  // namespace bailey::network::dns
