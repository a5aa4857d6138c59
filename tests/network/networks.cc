#include "tests/network/networks.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/files.h"
#include "network/bridge/link.h"

namespace bailey::network::tests {

namespace {

Fd socket_in(const Netns& where, int family, int type, int protocol) {
  Fd result;
  must(where.run([&]() -> Result<> {
    result = Fd(::socket(family, type | SOCK_CLOEXEC, protocol));
    if (!result) return sys_error("socket", errno);
    return {};
  }));
  return result;
}

void put16(std::string& to, uint32_t value) {
  to += static_cast<char>(value >> 8);
  to += static_cast<char>(value);
}
void put32(std::string& to, uint32_t value) {
  put16(to, value >> 16);
  put16(to, value & 0xffff);
}

int family_of(const std::string& address) { return network::family_of(must(parse_address(address)).ip); }

uint32_t sum_of(const std::string& data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); i += 2)
    sum += static_cast<uint32_t>(static_cast<uint8_t>(data[i]) << 8) +
           (i + 1 < data.size() ? static_cast<uint8_t>(data[i + 1]) : 0);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

}  // namespace

SocketAddress socket_address(const std::string& address, int port) {
  return network::socket_address(must(parse_address(address)), static_cast<uint16_t>(port));
}

std::string run(const Netns& where, const std::vector<std::string>& argv) {
  std::string out;
  must(where.run([&]() -> Result<> {
    const std::string program = bailey::tests::find_program(argv[0]);
    const auto outcome = run_command({program, {argv.begin() + 1, argv.end()}, {}, 20'000});
    if (!outcome) return std::unexpected(outcome.error());
    if (outcome->exit_code != 0) return fail(Fault::failed, argv[0] + " " + argv[1] + ": " + outcome->err);
    out = outcome->out;
    return {};
  }));
  return out;
}

Fd serve(const Netns& where, const std::string& address, int port, int type) {
  const SocketAddress own = socket_address(address, port);
  Fd fd = socket_in(where, own.storage.ss_family, type, 0);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  EXPECT_EQ(bind(fd.get(), own.get(), own.size), 0) << address << ": " << strerror(errno);
  if (type == SOCK_STREAM) {
    EXPECT_EQ(listen(fd.get(), 16), 0);
  }
  return fd;
}

namespace {

// 0 when `fd` was connected within `ms`, else the errno.
int try_to_connect(const Fd& fd, const std::string& address, int port, int ms) {
  const SocketAddress to = socket_address(address, port);
  if (connect(fd.get(), to.get(), to.size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd ready{fd.get(), POLLOUT, 0};
  if (poll(&ready, 1, ms) != 1) return ETIMEDOUT;
  int err = 0;
  socklen_t size = sizeof err;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &err, &size);
  return err;
}

}  // namespace

int connect_to(const Netns& from, const std::string& address, int port, int ms) {
  return try_to_connect(socket_in(from, family_of(address), SOCK_STREAM | SOCK_NONBLOCK, 0), address, port, ms);
}

Fd connected(const Netns& from, const std::string& address, int port, int ms) {
  Fd fd = socket_in(from, family_of(address), SOCK_STREAM | SOCK_NONBLOCK, 0);
  return try_to_connect(fd, address, port, ms) == 0 ? std::move(fd) : Fd();
}

int send_large_datagram(const Netns& from, const std::string& address, int port, size_t size) {
  const SocketAddress to = socket_address(address, port);
  const Fd fd = socket_in(from, to.storage.ss_family, SOCK_DGRAM, 0);
  const std::string data(size, 'x');
  return sendto(fd.get(), data.data(), size, 0, to.get(), to.size) < 0 ? errno : 0;
}

int send_datagram(const Netns& from, const std::string& address, int port, int source_port) {
  const SocketAddress to = socket_address(address, port);
  const Fd fd = socket_in(from, to.storage.ss_family, SOCK_DGRAM, 0);
  const SocketAddress own = socket_address(to.storage.ss_family == AF_INET ? "0.0.0.0" : "::", source_port);
  if (source_port && bind(fd.get(), own.get(), own.size) != 0) return errno;
  return sendto(fd.get(), "probe", 5, 0, to.get(), to.size) == 5 ? 0 : errno;
}

bool answers_ping(const Netns& from, const std::string& address, int ms) {
  const SocketAddress to = socket_address(address, 0);
  const bool v4 = to.storage.ss_family == AF_INET;
  const Fd fd = socket_in(from, to.storage.ss_family, SOCK_RAW, v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6});
  // Type 8 and the checksum of only that; of IPv6 type 128, and the kernel writes the checksum.
  const std::string echo = v4 ? std::string("\x08\0\xf7\xff\0\0\0\0", 8) : std::string("\x80\0\0\0\0\0\0\0", 8);
  if (sendto(fd.get(), echo.data(), echo.size(), 0, to.get(), to.size) < 0) return false;
  const auto deadline = clock::Deadline::in_ms(ms);
  while (!deadline.passed()) {
    pollfd ready{fd.get(), POLLIN, 0};
    if (poll(&ready, 1, deadline.poll_ms()) != 1) continue;
    unsigned char packet[256];
    const ssize_t got = recv(fd.get(), packet, sizeof packet, MSG_DONTWAIT);
    if (v4 ? got >= 28 && packet[20] == 0 : got >= 8 && packet[0] == 129) return true;  // an echo's reply
  }
  return false;
}

bool arrives(const Fd& socket, int ms) {
  pollfd ready{socket.get(), POLLIN, 0};
  if (poll(&ready, 1, ms) != 1) return false;
  char buffer[2048];
  return recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT) >= 0;
}

bool answer_datagram(const Fd& socket, int ms) {
  pollfd ready{socket.get(), POLLIN, 0};
  SocketAddress from;
  char buffer[2048];
  if (poll(&ready, 1, ms) != 1) return false;
  if (recvfrom(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT, from.get(), &from.size) < 0) return false;
  return sendto(socket.get(), "answer", 6, 0, from.get(), from.size) == 6;
}

std::optional<Sender> sender_of(const Fd& socket, int ms) {
  pollfd ready{socket.get(), POLLIN, 0};
  SocketAddress from;
  char buffer[2048];
  if (poll(&ready, 1, ms) != 1) return std::nullopt;
  if (recvfrom(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT, from.get(), &from.size) < 0) return std::nullopt;
  const auto address = address_of(from);
  if (!address) return std::nullopt;
  return Sender{to_text(*address), port_of(from)};
}

Fd raw_socket(const Netns& where, const std::string& link) {
  Fd fd = socket_in(where, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  sockaddr_ll own{};
  own.sll_family = AF_PACKET;
  own.sll_protocol = htons(ETH_P_ALL);
  must(where.run([&]() -> Result<> {
    own.sll_ifindex = static_cast<int>(if_nametoindex(link.c_str()));
    return {};
  }));
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0) << link << ": " << strerror(errno);
  return fd;
}

void send_frame(const Fd& socket, const std::string& frame) {
  EXPECT_EQ(send(socket.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size())) << strerror(errno);
}

bool frame_arrives(const Fd& socket, const std::string& needle, int ms, std::string* seen) {
  const auto deadline = clock::Deadline::in_ms(ms);
  do {
    pollfd ready{socket.get(), POLLIN, 0};
    if (poll(&ready, 1, deadline.poll_ms()) != 1) continue;
    char buffer[4096];
    const ssize_t got = recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0 && seen) seen->append(buffer, static_cast<size_t>(got));
    if (got > 0 && std::string_view(buffer, static_cast<size_t>(got)).find(needle) != std::string_view::npos) return true;
  } while (!deadline.passed());
  return false;
}

std::string mac_bytes(const Mac& mac) { return {mac.begin(), mac.end()}; }

std::string arp_frame(const Mac& to, const Mac& from, int operation, const Mac& sender, const Address& sender_address,
                      const Address& target) {
  std::string frame = mac_bytes(to) + mac_bytes(from);
  for (const uint32_t value : {0x0806u, 1u, 0x0800u, 0x0604u, static_cast<uint32_t>(operation)}) put16(frame, value);
  frame += mac_bytes(sender);
  put32(frame, static_cast<uint32_t>(sender_address.value));
  frame += mac_bytes(to);
  put32(frame, static_cast<uint32_t>(target.value));
  return frame + std::string(18, '\0');
}

namespace {

std::string wire_of(const Address& address) {
  const WireAddress wire = to_wire(address);
  return {wire.data(), wire.data() + wire.size()};
}

// RFC 8200 8.1: over both addresses, the length and the protocol as well.
void put_ipv6_sum(const Datagram& datagram, uint8_t protocol, std::string& message, size_t at) {
  std::string all = wire_of(datagram.source) + wire_of(datagram.target);
  put32(all, static_cast<uint32_t>(message.size()));
  put32(all, protocol);
  const uint32_t sum = ~sum_of(all + message) & 0xffff;
  message[at] = static_cast<char>(sum >> 8);
  message[at + 1] = static_cast<char>(sum);
}

}  // namespace

std::string ipv6_frame(const Datagram& datagram, uint8_t next, const std::string& behind) {
  std::string frame = mac_bytes(datagram.to) + mac_bytes(datagram.from);
  for (const uint32_t value : {0x86ddu, 0x6000u, 0u, static_cast<uint32_t>(behind.size())}) put16(frame, value);
  frame += static_cast<char>(next);
  frame += static_cast<char>(255);  // the hops that neighbour discovery wants
  return frame + wire_of(datagram.source) + wire_of(datagram.target) + behind;
}

std::string udp_of(const Datagram& datagram) {
  std::string udp;
  for (const uint32_t value :
       {40000u, static_cast<uint32_t>(datagram.port), static_cast<uint32_t>(8 + datagram.payload.size()), 0u})
    put16(udp, value);
  udp += datagram.payload;
  put_ipv6_sum(datagram, IPPROTO_UDP, udp, 6);
  return udp;
}

std::string icmpv6_of(const Datagram& datagram, uint8_t type, const std::string& body) {
  std::string icmp = {static_cast<char>(type), 0, 0, 0};
  icmp += body;
  put_ipv6_sum(datagram, IPPROTO_ICMPV6, icmp, 2);
  return icmp;
}

std::string ipv4_frame(const Datagram& datagram, const Ipv4Part& part, const std::string& behind) {
  const size_t words = 5 + part.options.size() / 4;
  std::string ip;
  for (const size_t value : {0x4000u | words << 8, words * 4 + behind.size(), size_t{part.id}, size_t{part.place},
                             0x4000u | size_t{part.protocol}, size_t{0}})
    put16(ip, static_cast<uint32_t>(value));
  put32(ip, static_cast<uint32_t>(datagram.source.value));
  put32(ip, static_cast<uint32_t>(datagram.target.value));
  ip += part.options;
  const uint32_t sum = ~sum_of(ip) & 0xffff;
  ip[10] = static_cast<char>(sum >> 8);
  ip[11] = static_cast<char>(sum);
  std::string frame = mac_bytes(datagram.to) + mac_bytes(datagram.from);
  put16(frame, 0x0800);
  return frame + ip + behind;
}

std::string udp_frame(const Datagram& datagram) {
  if (datagram.source.ip == Ip::v6) return ipv6_frame(datagram, IPPROTO_UDP, udp_of(datagram));
  const uint32_t udp_size = static_cast<uint32_t>(8 + datagram.payload.size());
  std::string ip;
  for (const uint32_t value : {0x4500u, 20 + udp_size, 0x1234u, 0u, 0x4011u, 0u}) put16(ip, value);
  put32(ip, static_cast<uint32_t>(datagram.source.value));
  put32(ip, static_cast<uint32_t>(datagram.target.value));
  const uint32_t sum = ~sum_of(ip) & 0xffff;
  ip[10] = static_cast<char>(sum >> 8);
  ip[11] = static_cast<char>(sum);
  std::string udp;
  for (const uint32_t value : {40000u, static_cast<uint32_t>(datagram.port), udp_size, 0u}) put16(udp, value);  // no checksum
  std::string frame = mac_bytes(datagram.to) + mac_bytes(datagram.from);
  put16(frame, 0x0800);
  return frame + ip + udp + datagram.payload;
}

std::string unreachable_frame(const Datagram& sender, const std::string& about) {
  std::string icmp;
  for (const uint32_t value : {0x0303u, 0u, 0u, 0u}) put16(icmp, value);
  icmp += about.substr(14);
  if (icmp.size() % 2) icmp += '\0';
  const auto put_sum = [](std::string& header, size_t at) {
    const uint32_t sum = ~sum_of(header) & 0xffff;
    header[at] = static_cast<char>(sum >> 8);
    header[at + 1] = static_cast<char>(sum);
  };
  put_sum(icmp, 2);
  std::string ip;
  for (const uint32_t value : {0x4500u, static_cast<uint32_t>(20 + icmp.size()), 0x1235u, 0u, 0x4001u, 0u}) put16(ip, value);
  put32(ip, static_cast<uint32_t>(sender.source.value));
  put32(ip, static_cast<uint32_t>(sender.target.value));
  put_sum(ip, 10);
  return udp_frame(sender).substr(0, 14) + ip + icmp;
}

Running::Running(const Netns& where, const std::vector<std::string>& argv, const std::string& until) {
  Pipe pipe = must(create_pipe());
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || setns(where.fd(), CLONE_NEWNET) < 0 || dup2(pipe.write.get(), 1) < 0) _exit(126);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  out_ = std::move(pipe.read);
  pipe.write.reset();
  said(until);
}

Running::~Running() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

const std::string& Running::said(const std::string& text) {
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (said_.find(text) == std::string::npos && !deadline.passed()) {
    pollfd readable{out_.get(), POLLIN, 0};
    char bytes[4096];
    if (poll(&readable, 1, deadline.poll_ms()) <= 0) continue;
    const ssize_t got = read(out_.get(), bytes, sizeof bytes);
    if (got <= 0) break;
    said_.append(bytes, static_cast<size_t>(got));
  }
  EXPECT_NE(said_.find(text), std::string::npos) << said_;
  return said_;
}

void Surroundings::enter() {
  real_ = must(Netns::of_this_thread());
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  host_ = must(Netns::of_this_thread());
  outside_ = must(Netns::create());
  socket_ = must(NetlinkSocket::open(NETLINK_ROUTE));
  must(switch_loopback_on(socket_));
  write_sysctl("ipv4/ip_forward", "1");

  must(socket_.send(link::create_veth({"up0", {2, 0, 0, 0, 0, 1}, 0, "net0", {2, 0, 0, 0, 0, 2}, outside_.fd()})));
  run(host_, {"ip", "address", "add", "203.0.113.1/24", "dev", "up0"});
  run(host_, {"ip", "link", "set", "up0", "up"});
  run(outside_, {"ip", "link", "set", "lo", "up"});
  run(outside_, {"ip", "link", "set", "net0", "up"});
  run(outside_, {"ip", "address", "add", "203.0.113.2/24", "dev", "net0"});
  run(outside_, {"ip", "route", "add", "default", "via", "203.0.113.1"});
  for (const char* more : {"198.51.100.9", "10.77.0.2", "192.168.5.5", "172.16.9.9", "169.254.169.254"}) {
    run(outside_, {"ip", "address", "add", std::string(more) + "/32", "dev", "lo"});
    run(host_, {"ip", "route", "add", more, "via", "203.0.113.2"});
  }
}

void Surroundings::add_ipv6() {
  write_sysctl("ipv6/conf/all/forwarding", "1");
  run(host_, {"ip", "address", "add", "2001:db8:113::1/64", "dev", "up0", "nodad"});
  run(outside_, {"ip", "address", "add", "2001:db8:113::2/64", "dev", "net0", "nodad"});
  run(outside_, {"ip", "-6", "route", "add", "default", "via", "2001:db8:113::1"});
  for (const char* more : {"2001:db8:9::9", "fd77::2", "fd00:ec2::254", "64:ff9b::a4d:2", "2002:a4d:2::1"}) {
    run(outside_, {"ip", "address", "add", std::string(more) + "/128", "dev", "lo", "nodad"});
    run(host_, {"ip", "-6", "route", "add", more, "via", "2001:db8:113::2"});
  }
}

void Surroundings::leave() {
  if (!real_) return;
  ASSERT_EQ(setns(real_.fd(), CLONE_NEWNET), 0);
  for (Netns* held : {&real_, &host_, &outside_}) *held = Netns();
  socket_ = NetlinkSocket();
}

void Surroundings::write_sysctl(const std::string& name, const std::string& value) {
  must(files::write_existing(AT_FDCWD, "/proc/sys/net/" + name, value));
}

void NetworkTest::SetUp() {
  BAILEY_REQUIRE("root", "ip", "bridge");
  leaks_ = std::make_unique<bailey::tests::LeakCheck>();
  enter();
  bridge_ = must(Bridge::ensure(socket_, {}, owner_));
}

void NetworkTest::TearDown() {
  leave();
  leaks_.reset();
}

NetworkTest::Sandbox NetworkTest::sandbox(uint32_t slot) {
  Sandbox result;
  result.netns = must(Netns::create());
  const PortSpec spec{"bly" + std::to_string(slot), "eth0", slot, bridge_.subnet6.has_value()};
  result.port = must(Port::create(bridge_, spec, result.netns));
  return result;
}

}  // namespace bailey::network::tests
