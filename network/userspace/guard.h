// UplinkGuard: the process between Bailey and an uplink (network/userspace/uplink.h), PID 1 of a pid namespace in a user
// namespace of its own, in the host's network namespace. It ends when Bailey does, with everything below it, and when the
// uplink ends, with its exit code. The uplink is root of that user namespace and of nothing else: it owns the userspace
// network's network namespace, and on the host it is the user nobody (root's Bailey) or the caller.
//
//   Bailey                                   guard                                  its children
//   ------------------------------------------------------------------------------------------------
//   clone3 (user, pid, mount) ------------>  waits
//   writes its maps; {its pid} ----------->  becomes uid 0, puts its tun there
//                                            ------------------------------------>  new netns: forwarding on, IPv6 off,
//          <--- namespace, sockets for names ---------------------------------------  ends
//   the namespace again ------------------>  drops every capability
//                                            ------------------------------------>  executes the uplink
//
// What goes wrong before the uplink runs comes as a message without a descriptor.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "network/ip/address.h"

namespace bailey::network {

struct GuardWork {
  int channel = -1;                    // Bailey's child's end; SOCK_SEQPACKET
  int program = -1;                    // O_PATH
  int output = -1;                     // stdout and stderr of the uplink
  int devices = -1;                    // a detached mount for /dev/net; -1: as it is
  Address names;                       // where sockets for names are bound; 0.0.0.0: none
  std::vector<std::string> arguments;  // of the uplink; kNetnsPath in the place of the namespace's path
};
inline constexpr std::string_view kNetnsPath = "NETNS";

struct GuardStart {
  int pid = 0;  // the guard's, as Bailey's /proc has it
};

[[noreturn]] void be_guard(const GuardWork& work);

}  // namespace bailey::network
