// What a question about a name gets, by the grants of a sandbox, and which of the addresses found may be told and opened. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "network/dns/dns_message.h"
#include "network/filter/egress.h"

namespace bailey::network {

struct Verdict {
  enum class Kind {
    refused,
    empty,      // the name is allowed and has nothing of that type: no HTTPS or SVCB records to go around the filter, and no
                // IPv6 where the sandbox has none
    addresses,  // asked for, cut down to aliases and addresses, and opened for `grants`
    no_such,    // not granted, and what a search domain makes of a name that is: the client goes on with the next domain, where
                // after a refusal some ask no more
    forwarded,  // by the grant `dns`: the answer goes back as it comes, and opens nothing
  };
  Kind kind = Kind::refused;
  // Indices into egress, all of Kind::name; of `addresses` only. Of grants with one name (and different ports) the first,
  // which opens all of them (first_of_name()): no more than a name has labels, however many grants there are.
  std::vector<uint32_t> grants;
};
// `search`: the domains of the sandbox's resolv.conf. A grant of a name of one label is one of that name in each of them, too.
// Transfers of zones are refused in every case: one question, many messages.
Verdict judge(const dns::Question& question, std::span<const Grant> egress, bool ipv6, std::span<const std::string> search);

// Is there any grant by which a name has an answer?
bool may_be_asked(std::string_view name, std::span<const Grant> egress, std::span<const std::string> search);

// May an address be opened for a grant of a name? Not in a closed range, and not what lies behind no gateway.
bool may_open(const Address& address);
// May it be told for a name? What may be opened, and what an address grant within a closed range (or `private`) opens anyway:
// a name must not lead a client to what its sandbox was not given (DNS rebinding).
bool may_tell(const Address& address, std::span<const Grant> egress);

// How long an address that a name had stays open: the TTL within 5 s and an hour, and 30 s more, so that a client that keeps
// it to its last second still connects. Clients are told the TTL up to the same hour.
constexpr uint32_t kShortestOpen = 5, kLongestOpen = 3600, kGrace = 30;
uint32_t open_seconds(uint32_t ttl);

}  // namespace bailey::network
