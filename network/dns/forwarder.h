// The worker's side of a resolver (network/dns/resolver.h): takes questions, asks the host's name servers, answers.
//
// Bounded in everything that a workload could make much of: questions under way, connections, questions a second (beyond that
// the sockets are not read, and the kernel drops), names told to the parent.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "network/dns/host_names.h"
#include "network/filter/egress.h"
#include "network/ip/address.h"

namespace bailey::network {

struct ForwarderSpec {
  Address client;     // nobody else is answered
  bool ipv6 = false;  // it has addresses of that as well
  std::vector<Grant> egress;
  std::vector<sockaddr_storage> servers;    // in the order in which they are asked
  int datagrams = -1, listener = -1;        // bound, non-blocking
  std::atomic<uint64_t>* denied = nullptr;  // questions refused, in memory shared with the parent
  std::vector<std::string> search;          // the sandbox's search domains
  Hosts hosts;                              // names that no server is asked for
  std::optional<uint32_t> connections;      // limits how often servers are asked
};

constexpr size_t kMostQuestions = 64;

// Until the channel (network/dns/resolver_channel.h) ends.
void forward_names(const ForwarderSpec& spec, int channel);

}  // namespace bailey::network
