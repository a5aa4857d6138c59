// UdpSenders: who sent datagrams to one published UDP port, each with a socket of its own to the sandbox, so that answers find
// their way back. No such socket is closed before the relay ends: the sandbox can keep the kernel's entry of that connection
// alive, and would speak to whoever of the host has that port next. What comes to one that nobody uses is dropped.
#pragma once

#include <cstdint>
#include <list>

#include "base/clock.h"
#include "base/fd.h"
#include "network/ip/socket_address.h"
#include "network/publish/relay_worker.h"

namespace bailey::network {

class UdpSenders {
 public:
  // The sockets of senders are added to `epoll` with the Sender as their data.
  UdpSenders(const Address& sandbox, size_t most, int epoll) : sandbox_(sandbox), most_(most), epoll_(epoll) {}

  struct Sender {
    const RelayWork::Listener* listener;
    SocketAddress peer;
    Address local;  // what it spoke to: the source of our answers
    Fd socket;      // connected to the sandbox's port
    clock::Deadline forgotten;
  };
  void take(const RelayWork::Listener& listener);  // passes on what waits, up to a share
  bool holds(const void* sender) const;            // an event may be about one that was forgotten since
  void answer(Sender& sender);
  void expire();
  clock::Deadline next() const;  // when expire() has something to do

 private:
  Sender* find(const RelayWork::Listener& listener, const SocketAddress& peer, const Address& local);
  Fd open_socket(uint16_t port);
  void retire(Fd socket);
  void forget_first();
  void touch(Sender& sender);

  Address sandbox_;
  size_t most_;
  int epoll_;
  std::list<Sender> all_;  // the one silent for longest comes first
  std::list<Fd> idle_;     // the one that nobody uses for longest comes first
};

}  // namespace bailey::network
