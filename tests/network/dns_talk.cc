#include "tests/network/dns_talk.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <resolv.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <ostream>
#include <sstream>

#include "base/clock.h"

namespace bailey::network::tests {

namespace {

std::string u16(int value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }
std::string u32(uint32_t value) { return u16(static_cast<int>(value >> 16)) + u16(static_cast<int>(value & 0xffff)); }

std::string labels(const std::string& name) {
  std::string out;
  std::istringstream parts(name);
  for (std::string label; std::getline(parts, label, '.');) out += static_cast<char>(label.size()) + label;
  return out + '\0';
}

}  // namespace

std::string question(const Wish& wish) {
  std::string out = u16(wish.id) + u16(0x0100) + u16(1) + u16(0) + u16(0) + u16(wish.room != 0);
  out += labels(wish.name) + u16(wish.type) + u16(wish.kind);
  if (wish.room) out += '\0' + u16(41) + u16(wish.room) + u32(0) + u16(0);
  return out;
}

std::string a_record(const std::string& owner, const std::string& address, uint32_t seconds) {
  in_addr value{};
  inet_pton(AF_INET, address.c_str(), &value);
  return labels(owner) + u16(kA) + u16(1) + u32(seconds) + u16(4) + u32(ntohl(value.s_addr));
}

std::string cname_record(const std::string& owner, const std::string& target, uint32_t seconds) {
  const std::string to = labels(target);
  return labels(owner) + u16(kCname) + u16(1) + u32(seconds) + u16(static_cast<int>(to.size())) + to;
}

std::string answer(const std::string& asked, const std::vector<std::string>& records, int rcode) {
  const size_t end = asked.find('\0', 12) + 5;
  std::string out = asked.substr(0, 2) + u16(0x8180 | rcode) + u16(1) + u16(static_cast<int>(records.size())) + u16(0) + u16(0);
  out += asked.substr(12, end - 12);
  for (const std::string& record : records) out += record;
  return out;
}

Reply read_reply(const std::string& message) {
  Reply reply;
  ns_msg parsed;
  const auto* data = reinterpret_cast<const unsigned char*>(message.data());
  if (ns_initparse(data, static_cast<int>(message.size()), &parsed) != 0) {
    ADD_FAILURE() << "no DNS message of " << message.size() << " bytes";
    return reply;
  }
  reply.came = true;
  reply.size = message.size();
  reply.id = ns_msg_id(parsed);
  reply.rcode = data[3] & 0xf;
  reply.truncated = data[2] & 2;
  ns_rr record;
  if (ns_msg_count(parsed, ns_s_qd) == 1 && ns_parserr(&parsed, ns_s_qd, 0, &record) == 0) reply.name = ns_rr_name(record);
  for (int i = 0; i < ns_msg_count(parsed, ns_s_an) && ns_parserr(&parsed, ns_s_an, i, &record) == 0; ++i) {
    std::string text = ns_rr_name(record);
    char value[NS_MAXDNAME] = "";
    if (ns_rr_type(record) == ns_t_a && inet_ntop(AF_INET, ns_rr_rdata(record), value, sizeof value)) {
      text += std::string(" A ") + value;
      reply.addresses.emplace_back(value);
    } else if (ns_rr_type(record) == ns_t_aaaa && inet_ntop(AF_INET6, ns_rr_rdata(record), value, sizeof value)) {
      text += std::string(" AAAA ") + value;
      reply.addresses.emplace_back(value);
    } else if (ns_rr_type(record) == ns_t_cname &&
               dn_expand(data, data + message.size(), ns_rr_rdata(record), value, sizeof value) > 0) {
      text += std::string(" CNAME ") + value;
    } else {
      text += " " + std::to_string(ns_rr_type(record));
    }
    reply.records.push_back(text);
    reply.seconds.push_back(ns_rr_ttl(record));
  }
  for (int i = 0; i < ns_msg_count(parsed, ns_s_ar) && ns_parserr(&parsed, ns_s_ar, i, &record) == 0; ++i)
    reply.edns |= ns_rr_type(record) == ns_t_opt;
  return reply;
}

std::ostream& operator<<(std::ostream& stream, const Reply& reply) {
  if (!reply.came) return stream << "no reply";
  stream << "rcode " << reply.rcode << (reply.truncated ? " TC" : "") << " for " << reply.name << ", " << reply.size
         << " bytes:";
  for (size_t i = 0; i < reply.records.size(); ++i) stream << "\n  " << reply.records[i] << " " << reply.seconds[i];
  return stream;
}

Dnsmasq::Dnsmasq(const Netns& where, const std::string& address, const std::string& lines) : where_(where), address_(address) {
  const std::string settings =
      "no-resolv\nno-hosts\nkeep-in-foreground\nuser=root\npid-file=\nbind-interfaces\nlocal=/example/\n" +
      std::string("listen-address=") + address + "\naddn-hosts=" + directory_.file("hosts") +
      "\nlog-facility=" + directory_.file("log") + "\n" + lines;
  directory_.write("hosts", "198.18.0.1 marker0.example\n");
  const std::string file = "--conf-file=" + directory_.write("dnsmasq.conf", settings);
  const std::string program = bailey::tests::find_program("dnsmasq");
  must(where.run([&]() -> Result<> {
    char* const argv[] = {const_cast<char*>("dnsmasq"), const_cast<char*>(file.c_str()), nullptr};
    char* const environment[] = {nullptr};
    const int err = posix_spawn(&pid_, program.c_str(), nullptr, nullptr, argv, environment);
    if (err) return sys_error("starting dnsmasq", err);
    return {};
  }));
  wait_for_marker();
}

Dnsmasq::~Dnsmasq() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Dnsmasq::hosts(const std::string& lines) {
  directory_.write("hosts", lines + "198.18.0.1 marker" + std::to_string(++marker_) + ".example\n");
  kill(pid_, SIGHUP);
  wait_for_marker();
}

// It reads its files when it likes: they are read when it knows the name that was written last.
void Dnsmasq::wait_for_marker() {
  const auto deadline = clock::Deadline::in_ms(30'000);
  const Fd socket = serve(where_, address_, 0, SOCK_DGRAM);
  const SocketAddress to = socket_address(address_, 53);
  const std::string asked = question({"marker" + std::to_string(marker_) + ".example"});
  while (!deadline.passed()) {
    sendto(socket.get(), asked.data(), asked.size(), 0, to.get(), to.size);
    pollfd ready{socket.get(), POLLIN, 0};
    char buffer[2048];
    if (poll(&ready, 1, 100) != 1) continue;
    const ssize_t got = recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0 && !read_reply({buffer, static_cast<size_t>(got)}).addresses.empty()) return;
  }
  ADD_FAILURE() << "dnsmasq does not answer: " << bailey::tests::read_file(directory_.file("log"));
}

}  // namespace bailey::network::tests
