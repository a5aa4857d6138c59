// Senders: who sent datagrams to one published UDP port, each with a socket of its own to the sandbox, so that answers find
// their way back.
#pragma once

#include <cstdint>
#include <list>

#include "base/clock.h"
#include "base/fd.h"
#include "network/relay_worker.h"
#include "network/socket_address.h"

namespace bailey::network {

class Senders {
 public:
  Senders(const Address& sandbox, size_t most) : sandbox_(sandbox), most_(most) {}

  struct Sender {
    const RelayWork::Listener* listener;
    SocketAddress peer;
    Address local;  // what it spoke to: the source of our answers
    Fd socket;      // connected to the sandbox's port
    clock::Deadline forgotten;
  };
  // Passes on what waits, up to a share; the sockets of new senders are added to `epoll` with the Sender as their data.
  void take(const RelayWork::Listener& listener, int epoll);
  bool holds(const void* sender) const;  // an event may be about one that was forgotten since
  void answer(Sender& sender);
  void expire();
  clock::Deadline next() const;  // when expire() has something to do

 private:
  Sender* find(const RelayWork::Listener& listener, const SocketAddress& peer, const Address& local, int epoll);
  void touch(Sender& sender);

  Address sandbox_;
  size_t most_;
  std::list<Sender> all_;  // the one silent for longest comes first
};

}  // namespace bailey::network
