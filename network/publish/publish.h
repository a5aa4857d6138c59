// Publish: one port of a sandbox that others reach by a port of the host. Words of --publish:
//
//   8080:80                 port 80 of the sandbox, by 127.0.0.1:8080 of the host
//   80 or :80               by a port that the kernel chooses
//   0.0.0.0:8080:80         by every address of the host; or by one of them; 192.0.2.1::80 with a port that the kernel chooses
//   [::1]:8080:80           by an IPv6 address of the host; [::]:8080:80 by every one of them, and no IPv4 one
//   5353:53/udp             tcp unless it is written
//
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "network/filter/egress.h"
#include "network/ip/address.h"

namespace bailey::network {

struct Publish {
  Address address = Address::v4(0x7f000001);
  uint16_t host_port = 0;  // 0: the kernel chooses
  uint16_t port = 0;
  Protocol protocol = Protocol::tcp;  // or udp
  friend bool operator==(const Publish&, const Publish&) = default;
};

// The error names the text, what is wrong with it and how it is written.
Result<Publish> parse_publish(std::string_view text);
std::string to_text(const Publish& publish);   // 127.0.0.1:8080:80/tcp, [::1]:8080:80/tcp
std::string host_end(const Publish& publish);  // 127.0.0.1:8080/tcp

}  // namespace bailey::network
