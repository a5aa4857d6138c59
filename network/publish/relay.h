// Relay: the published ports of one sandbox. A child process (network/confined/worker.h) accepts connections and datagrams on
// ports of the host and passes them on to the sandbox's, by connections of its own from the gateway's address.
//
// No address translation: it is the same for both backends, needs no route_localnet, and what the sandbox sends is data to us,
// never a packet for others. What it costs, measured: docs/network.md.
//
// Bounded: 512 connections (the next wait in the listener's queue) and 256 senders of datagrams, each forgotten after a minute
// of silence, the one silent for longest when there are more. A side that does not read holds the other up.
#pragma once

#include <sys/types.h>

#include <span>
#include <vector>

#include "base/result.h"
#include "network/confined/worker.h"
#include "network/ip/address.h"
#include "network/publish/publish.h"

namespace bailey::network {

// Ports that are taken; move-only.
struct Listeners {
  std::vector<Publish> ports;  // with the host ports that were bound
  std::vector<Fd> sockets;     // one each
};
// All of `ports` in this thread's network namespace, or none and an error that names the one. Ports below 1024 take
// CAP_NET_BIND_SERVICE.
Result<Listeners> bind_ports(std::span<const Publish> ports);

class Relay {
 public:
  // Connects to the sandbox from this thread's network namespace, wherever the listeners are. The caller has one thread. The
  // sandbox's address need not be there yet: until it is, connections fail. Nothing to publish: an empty Relay.
  // await_confined() is to follow, as for a Worker.
  static Result<Relay> begin(Listeners listeners, const Address& sandbox);
  Result<> await_confined() { return worker_ ? worker_.await_confined() : Result<>(); }
  Relay() = default;

  const std::vector<Publish>& ports() const { return ports_; }  // with the host ports that were bound
  pid_t pid() const { return worker_.pid(); }
  explicit operator bool() const { return static_cast<bool>(worker_); }
  int fd() const { return worker_.channel(); }  // readable: it has ended
  std::string end() { return worker_.end(); }   // ends it; how it had ended before: "signal 11"
  void reset() { worker_.reset(); }

 private:
  std::vector<Publish> ports_;
  Worker worker_;
};

}  // namespace bailey::network
