// The worker's side of a relay (network/publish/relay.h): one loop over all connections and senders of datagrams.
#pragma once

#include <cstdint>
#include <vector>

#include "network/filter/egress.h"
#include "network/ip/address.h"

namespace bailey::network {

struct RelayWork {
  Address sandbox;
  struct Listener {
    int fd;  // bound, non-blocking; TCP: listens, UDP: with IP_PKTINFO
    Protocol protocol;
    uint16_t port;  // the sandbox's
  };
  std::vector<Listener> listeners;
};

constexpr size_t kMostConnections = 512, kMostSenders = 256;
// Two sockets and at most two pipes for a connection, two sockets for a sender (relay_senders.h), listeners, what a worker has
// anyway. Where the hard limit is lower there are fewer connections.
constexpr uint64_t kRelayDescriptors = kMostConnections * 6 + kMostSenders * 2 + 128;

// Until the channel ends.
void relay_ports(const RelayWork& work, int channel);

}  // namespace bailey::network
