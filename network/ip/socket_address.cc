#include "network/ip/socket_address.h"

#include <netinet/in.h>

#include <cstring>

namespace bailey::network {

namespace {

template <typename T>
T as(const SocketAddress& socket) {
  T result;
  std::memcpy(&result, &socket.storage, sizeof result);
  return result;
}

template <typename T>
SocketAddress from(const T& value) {
  SocketAddress result;
  std::memcpy(&result.storage, &value, sizeof value);
  result.size = sizeof value;
  return result;
}

template <typename T>
std::optional<Address> read(const T& field) {
  uint8_t bytes[sizeof field];
  std::memcpy(bytes, &field, sizeof field);
  return read_address(bytes);
}

}  // namespace

int family_of(Ip ip) { return ip == Ip::v4 ? AF_INET : AF_INET6; }

SocketAddress socket_address(const Address& address, uint16_t port) {
  const WireAddress wire = to_wire(address);
  if (address.ip == Ip::v4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, wire.data(), wire.size());
    return from(v4);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, wire.data(), wire.size());
  return from(v6);
}

std::optional<Address> address_of(const SocketAddress& socket) {
  if (socket.storage.ss_family == AF_INET) return read(as<sockaddr_in>(socket).sin_addr);
  if (socket.storage.ss_family == AF_INET6) return read(as<sockaddr_in6>(socket).sin6_addr);
  return std::nullopt;
}

uint16_t port_of(const SocketAddress& socket) {
  if (socket.storage.ss_family == AF_INET) return ntohs(as<sockaddr_in>(socket).sin_port);
  if (socket.storage.ss_family == AF_INET6) return ntohs(as<sockaddr_in6>(socket).sin6_port);
  return 0;
}

}  // namespace bailey::network
