// Uplink: the program that carries a userspace network's packets (network/userspace/userspace_network.h) by sockets of its own
// on the host: pasta (passt), else slirp4netns. How each is found and what it is told, so that nothing is forwarded in, the
// host's loopback stays closed, it resolves no names and does IPv4 only. Pure but for find_uplink().
//
//   pasta         man pasta(1), passt 2023-03 and later      slirp4netns   man slirp4netns(1), 1.0 and later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/program.h"
#include "base/result.h"
#include "network/ip/address.h"

namespace bailey::network {

inline constexpr const char* kUplink = "uplink";  // the link's name in the userspace network
// As long as both allow. Each packet costs them the same, and no frame of ours goes out as it is: they end TCP.
inline constexpr uint32_t kUplinkMtu = 65520;

struct UplinkSpec {
  std::string program;  // absolute path of a pasta or slirp4netns; empty: the PATH of this process and the usual places
};

enum class UplinkKind { pasta, slirp4netns };

struct UplinkProgram {
  UplinkKind kind = UplinkKind::pasta;
  Program program;
  const char* name() const { return kind == UplinkKind::pasta ? "pasta" : "slirp4netns"; }
};

// The one that is named is taken or refused, never replaced by another; else the first pasta, else the first slirp4netns.
// Fault::unavailable as open_program(), or where there is neither, with what to install.
Result<UplinkProgram> find_uplink(const UplinkSpec& spec);

// Both give the userspace network's end the address range.at(100) and are themselves range.at(2), so that all that is theirs
// lies in a range that the filter closes.
struct UplinkArguments {
  Subnet range;
  std::string like;   // pasta: the host's link that it looks at for its MTU and hardware address
  std::string netns;  // path of the userspace network's namespace
};
std::vector<std::string> uplink_arguments(UplinkKind kind, const UplinkArguments& inputs);  // argv[0] included

}  // namespace bailey::network
