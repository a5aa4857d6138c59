// Addresses of sockets (sockaddr) as the calls want them, of either family. Pure.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>

#include "network/ip/address.h"

namespace bailey::network {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;  // for accept(), recvfrom() and their like, which then set it
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
SocketAddress socket_address(const Address& address, uint16_t port);
std::optional<Address> address_of(const SocketAddress& socket);  // nothing when it is of another family
uint16_t port_of(const SocketAddress& socket);                   // 0 then
int family_of(Ip ip);                                            // AF_INET

}  // namespace bailey::network
