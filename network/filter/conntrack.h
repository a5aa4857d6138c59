// The kernel's table of connections (nf_conntrack), by ctnetlink. CAP_NET_ADMIN.
#pragma once

#include "base/result.h"
#include "network/ip/address.h"
#include "network/netlink/netlink_socket.h"

namespace bailey::network::conntrack {

// Forgets every connection that `address` began, or that began towards it, in the namespace of `socket` (of
// NETLINK_NETFILTER). What a filter once let by counts as established for minutes (UDP) or days (TCP): who has the address
// next would go on with it, whatever may be reached then. The kernel looks through its whole table: some 12 ms of work.
enum class Began { by, towards };
Result<> forget(NetlinkSocket& socket, const Address& address, Began began);

// An entry as the kernel lists it: its original direction. Nothing when it makes no sense. Pure.
struct Entry {
  Address from, to;
  Bytes tuple, zone;  // as they came; zone may be empty
};
std::optional<Entry> read_entry(const Received& message);

}  // namespace bailey::network::conntrack
