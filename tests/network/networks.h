// A network of the test's own: this process moves into a new namespace, the "host", with an "outside" behind it; sandboxes
// come by sandbox().
//
//   sandbox eth0 --- bly0 [bailey0 10.201.0.1] host up0 203.0.113.1 --- 203.0.113.2 net0 outside
//
// With add_ipv6() up0 has 2001:db8:113::1 as well, net0 2001:db8:113::2, and the outside 2001:db8:9::9 (like the others),
// fd77::2, fd00:ec2::254, 64:ff9b::a4d:2 and 2002:a4d:2::1 (both lead to 10.77.0.2 where somebody translates).
//
// Outside also has the addresses 198.51.100.9, 10.77.0.2, 192.168.5.5, 172.16.9.9 and 169.254.169.254, and the host a way to
// each; the outside has a way back to everything. One process per test (CTest runs each TEST alone).
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/command.h"
#include "network/bridge/bridge.h"
#include "network/bridge/port.h"
#include "network/ip/netns.h"
#include "network/ip/socket_address.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"

namespace bailey::network::tests {

// The value, or the test ends with the error's text.
template <typename T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

SocketAddress socket_address(const std::string& address, int port);
// Runs a program in `where` and returns its stdout; a failure is a test failure.
std::string run(const Netns& where, const std::vector<std::string>& argv);

// A bound socket: SOCK_STREAM listens, SOCK_DGRAM waits for datagrams. The kernel shakes hands for it: no process is needed.
Fd serve(const Netns& where, const std::string& address, int port, int type);
// Connects: 0, or the errno; ETIMEDOUT when nothing came within `ms`.
int connect_to(const Netns& from, const std::string& address, int port, int ms = 10'000);
// The same, held; empty when it did not connect.
Fd connected(const Netns& from, const std::string& address, int port, int ms = 10'000);
// Sends a datagram, from a source port when given; 0 or the errno of the sending.
int send_datagram(const Netns& from, const std::string& address, int port, int source_port = 0);
int send_large_datagram(const Netns& from, const std::string& address, int port, size_t size);
// An ICMP echo came back within `ms`.
bool answers_ping(const Netns& from, const std::string& address, int ms = 10'000);
// A datagram or frame came within `ms`.
bool arrives(const Fd& socket, int ms);
// Waits for a datagram and sends one back; false when none came.
bool answer_datagram(const Fd& socket, int ms = 10'000);
struct Sender {
  std::string address;
  uint16_t port = 0;
};
// Waits for a datagram and returns where it came from; nothing when none came.
std::optional<Sender> sender_of(const Fd& socket, int ms = 10'000);

// Frames as they are: what a workload with CAP_NET_RAW could send, or a sentry that was taken over.
Fd raw_socket(const Netns& where, const std::string& link);
void send_frame(const Fd& socket, const std::string& frame);
std::string mac_bytes(const Mac& mac);
std::string arp_frame(const Mac& to, const Mac& from, int operation, const Mac& sender, const Address& sender_address,
                      const Address& target);
// IPv4 + UDP with checksums; `mac_source` is the frame's.
struct Datagram {
  Mac to{}, from{};
  Address source, target;
  uint16_t port = 9;
  std::string payload = "probe";
};
std::string udp_frame(const Datagram& datagram);  // of the source's family
// IPv4: what stands behind a header of that protocol, identification, fragment word (offset in eights, IP_MF) and options.
struct Ipv4Part {
  uint8_t protocol = 17;
  uint16_t id = 0x1234, place = 0;
  std::string options;  // of a multiple of four bytes
};
std::string ipv4_frame(const Datagram& datagram, const Ipv4Part& part, const std::string& behind);
// IPv6: what stands behind its header, of that protocol or kind of further header (RFC 8200 4).
std::string ipv6_frame(const Datagram& datagram, uint8_t next, const std::string& behind);
std::string udp_of(const Datagram& datagram);  // UDP alone, with its checksum for IPv6
std::string icmpv6_of(const Datagram& datagram, uint8_t type, const std::string& body);  // likewise
// ICMP: that the port of `about`, a datagram's frame, is closed.
std::string unreachable_frame(const Datagram& sender, const std::string& about);
// Waits until a frame that holds `needle` comes out of the raw socket; all that came is added to `seen`.
bool frame_arrives(const Fd& socket, const std::string& needle, int ms, std::string* seen = nullptr);

// A program that runs in `where` until this goes; made when its stdout has said `until`.
class Running {
 public:
  Running(const Netns& where, const std::vector<std::string>& argv, const std::string& until);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  // What it has said so far, after waiting for `text` to be in it.
  const std::string& said(const std::string& text);

 private:
  pid_t pid_ = -1;
  Fd out_;
  std::string said_;
};

// Those namespaces. Between enter() and leave() this process, and what it starts, is on the host of them.
class Surroundings {
 protected:
  void enter();
  void leave();
  void add_ipv6();
  void write_sysctl(const std::string& name, const std::string& value);  // of the host, below /proc/sys/net

  Netns real_, host_, outside_;
  NetlinkSocket socket_;  // of the host
};

// With the bridge, and without Bailey.
class NetworkTest : public testing::Test, protected Surroundings {
 protected:
  void SetUp() override;
  void TearDown() override;
  // A new sandbox's namespace with a port of that slot, named bly<slot>; with IPv6 when the bridge has it.
  struct Sandbox {
    Netns netns;
    Port port;
  };
  Sandbox sandbox(uint32_t slot);

  const Owner owner_{"bailey 0:1:2"};
  Bridge bridge_;
  std::unique_ptr<bailey::tests::LeakCheck> leaks_;
};

}  // namespace bailey::network::tests
