#include "network/filter/firewall.h"

#include <linux/netlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "base/files.h"
#include "network/filter/conntrack.h"
#include "network/filter/firewall_rules.h"

namespace bailey::network {

namespace {

constexpr size_t kMaxSysctl = 64;

// A number of this thread's network namespace; nothing when there is no such file.
Result<std::optional<int>> read_sysctl(const std::string& path) {
  const auto text = files::read("/proc/sys/net/" + path, kMaxSysctl);
  if (!text && text.error().sys == ENOENT) return std::nullopt;
  if (!text) return std::unexpected(text.error());
  return std::atoi(text->c_str());
}

// With it, packets to 127.0.0.0/8 would come in from a sandbox (CVE-2020-8558). One for all counts as well.
Result<> check_loopback_is_local(const std::string& bridge) {
  for (const std::string& link : {bridge, std::string("all")}) {
    const std::string name = "ipv4/conf/" + link + "/route_localnet";
    if (TRY(read_sysctl(name)).value_or(0) != 0)
      return fail(Fault::unavailable,
                  "net.ipv4.conf." + link + ".route_localnet is on: sandboxes would reach the host's loopback",
                  "sysctl -w net.ipv4.conf." + link + ".route_localnet=0");
  }
  return {};
}

Result<> check_spec(const FirewallSpec& spec) {
  const bool fits6 = !spec.address6 || (spec.bridge.subnet6 && spec.bridge.subnet6->contains(*spec.address6));
  const bool fits = !spec.port.empty() && spec.port.size() < IFNAMSIZ && !spec.bridge.name.empty() &&
                    spec.bridge.subnet.contains(spec.address) && spec.address != spec.bridge.gateway() && fits6;
  if (!fits)
    return fail(Fault::failed, "port '" + spec.port + "' with address " + to_text(spec.address) + " can have no firewall");
  if (spec.bytes_per_second == 0u || spec.connections == 0u)
    return fail(Fault::bad_input, "a limit of 0 on bytes per second or connections is no limit", "give a number above 0");
  return {};
}

Result<uint64_t> read_counter(NetlinkSocket& socket, const nft::Table& table, const char* name) {
  const auto replies = TRY(socket.ask(nft::ask_counter(table, name)));
  for (const auto& reply : replies)
    if (const auto packets = nft::read_counter(reply.view())) return *packets;
  return fail(Fault::failed, "reading counter " + std::string(name) + ": the kernel's answer makes no sense");
}

// The connections that were let by end with the table that let them by. The table knows whose they are, since the bridge may
// have another subnet by now, and whether there were any.
Result<> forget_connections(NetlinkSocket& socket, const nft::FoundTable& found) {
  if (found.table.family != nft::Family::inet) return {};
  const Bytes note = found.note.addresses;
  const bool by = TRY(read_counter(socket, found.table, rules::kBegun)) > 0;
  const bool towards = TRY(read_counter(socket, found.table, rules::kEntered)) > 0;
  const size_t v4 = std::min<size_t>(note.size(), bits(Ip::v4) / 8);
  for (const Bytes part : {note.first(v4), note.subspan(v4)}) {
    const auto address = read_address(part);
    if (address && by) TRY(conntrack::forget(socket, *address, conntrack::Began::by));
    if (address && towards) TRY(conntrack::forget(socket, *address, conntrack::Began::towards));
  }
  return {};
}

// Those of that slot's names, whoever made them.
Result<std::vector<nft::FoundTable>> find_tables(NetlinkSocket& socket, uint32_t slot) {
  std::vector<nft::FoundTable> result;
  for (const nft::Table& table : {rules::bridge_table(slot), rules::inet_table(slot)}) {
    const auto replies = socket.ask(nft::ask_table(table));
    if (!replies && replies.error().sys == ENOENT) continue;
    if (!replies) return std::unexpected(replies.error());
    for (const auto& reply : *replies)
      if (auto found = nft::read_table(reply.view())) result.push_back(std::move(*found));
  }
  return result;
}

// The same as compile(), and what a killed Bailey left of that slot goes in the same instant.
Result<> replace(NetlinkSocket& socket, const FirewallSpec& spec) {
  std::vector<Message> batch;
  batch.push_back(nft::begin_batch());
  for (const nft::FoundTable& old : TRY(find_tables(socket, spec.slot))) {
    const std::string name = "table " + nft::to_text(old.table);
    if (!Owner{spec.bridge.mark}.made(old.note.comment)) return in_the_way(name, "nft delete " + name);
    TRY(forget_connections(socket, old));
    batch.push_back(nft::remove_table(old));
  }
  std::vector<Message> rules = compile(spec);
  batch.insert(batch.end(), std::make_move_iterator(rules.begin() + 1), std::make_move_iterator(rules.end()));
  return socket.send(batch);
}

// What an nf_tables without that expression, or a kernel without nf_tables, answers.
bool kernel_lacks(int err) {
  return err == ENOENT || err == EOPNOTSUPP || err == EPROTONOSUPPORT || err == EINVAL || err == EAFNOSUPPORT;
}

Error explained(Error error, const FirewallSpec& spec) {
  error = std::move(error).with("firewall of port " + spec.port);
  if (error.sys == EMSGSIZE) {  // one message to the kernel is as long as a socket's buffer at most: some 500 grants
    error.fault = Fault::bad_input;
    error.remedy = "fewer grants: " + std::to_string(spec.egress.size()) + " are too many for one sandbox";
  } else if (error.sys == E2BIG) {  // 1024 chains on one hook (MAX_HOOK_COUNT), the host's own among them
    error.fault = Fault::unavailable;
    error.remedy = "end some sandboxes first: the kernel has no room for one more filter";
  } else if (kernel_lacks(error.sys)) {
    error.fault = Fault::unavailable;
    error.remedy =
        "a kernel with that part of nf_tables (families inet and bridge, ct, nat, reject; connlimit for a limit on connections)";
  }
  return error;
}

}  // namespace

Result<> check_forwarding(Ip ip) {
  const bool v4 = ip == Ip::v4;
  if (TRY(read_sysctl(v4 ? "ipv4/ip_forward" : "ipv6/conf/all/forwarding")).value_or(0) != 0) return {};
  const std::string name = v4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
  return fail(Fault::unavailable, name + " is off: this host forwards no " + std::string(to_text(ip)) + " for sandboxes",
              "sysctl -w " + name + "=1, and a line '" + name + " = 1' in /etc/sysctl.d/bailey.conf to keep it" +
                  (v4 ? "" : " (a link that has its address from router advertisements keeps it with accept_ra=2)"));
}

Firewall::Firewall(Firewall&& other) noexcept { *this = std::move(other); }

Firewall& Firewall::operator=(Firewall&& other) noexcept {
  if (this == &other) return *this;
  (void)reset();
  socket_ = std::move(other.socket_);
  slot_ = std::exchange(other.slot_, std::nullopt);
  owner_ = other.owner_;
  shared_ = other.shared_;
  is_ours_ = std::exchange(other.is_ours_, false);
  has_ipv6_ = other.has_ipv6_;
  return *this;
}

Firewall::~Firewall() { (void)reset(); }

Result<> Firewall::reset() {
  if (!std::exchange(is_ours_, false)) return {};
  return remove(socket_, *std::exchange(slot_, std::nullopt), owner_);
}

Result<Firewall> Firewall::of(uint32_t slot, bool has_ipv6) {
  Firewall firewall;
  firewall.socket_ = TRY(NetlinkSocket::open(NETLINK_NETFILTER));
  firewall.slot_ = slot;
  firewall.has_ipv6_ = has_ipv6;
  return firewall;
}

Result<Firewall> Firewall::create(const FirewallSpec& spec) {
  TRY(check_spec(spec));
  TRY(check_loopback_is_local(spec.bridge.name));
  for (const Ip ip : {Ip::v4, Ip::v6}) {
    const bool has = ip == Ip::v4 || spec.address6;
    if (has &&
        (!spec.shared.empty() || std::ranges::any_of(spec.egress, [&](const Grant& grant) { return leads_out(grant, ip); })))
      TRY(check_forwarding(ip));
  }
  Firewall firewall;
  firewall.socket_ = TRY(NetlinkSocket::open(NETLINK_NETFILTER));
  Result<> made = firewall.socket_.send(compile(spec));
  // Left by a killed Bailey. Not tried first: what is removed makes the next close() of such a socket wait for all processors.
  if (!made && made.error().sys == EEXIST) made = replace(firewall.socket_, spec);
  if (!made) return std::unexpected(explained(std::move(made).error(), spec));
  firewall.slot_ = spec.slot;
  firewall.owner_ = {spec.bridge.mark};
  firewall.shared_ = spec.shared;
  firewall.is_ours_ = true;
  firewall.has_ipv6_ = spec.address6.has_value();
  return firewall;
}

Result<> Firewall::admit(std::span<const Opening> openings) {
  if (!slot_) return fail(Fault::failed, "admitting addresses: there is no firewall");
  std::vector<Message> batch;
  batch.push_back(nft::begin_batch());
  for (const auto& [grant, address, seconds] : openings)
    for (Message& message : nft::admit(rules::inet_table(*slot_), rules::name_set(grant, address.ip), address, seconds))
      batch.push_back(std::move(message));
  batch.push_back(nft::end_batch());
  return socket_.send(batch);
}

Result<bool> Firewall::meet(uint32_t other, const Address& ours, const Address& theirs) {
  if (!slot_) return fail(Fault::failed, "meeting peers: there is no firewall");
  const std::string peers = rules::peers_set(shared_, ours.ip);
  const Message batch[] = {nft::begin_batch(), nft::keep(rules::inet_table(other), peers, ours),
                           nft::keep(rules::inet_table(*slot_), peers, theirs), nft::end_batch()};
  const auto met = socket_.send(batch);
  if (!met && met.error().sys == ENOENT) return false;
  if (!met) return std::unexpected(met.error());
  return true;
}

Result<Denials> Firewall::denials() {
  if (!slot_) return fail(Fault::failed, "reading denials: there is no firewall");
  Denials result;
  const nft::Table inet = rules::inet_table(*slot_), bridge = rules::bridge_table(*slot_);
  result.packets = TRY(read_counter(socket_, inet, rules::kDenied));
  result.frames = TRY(read_counter(socket_, bridge, rules::kForged));
  for (const Ip ip : {Ip::v4, Ip::v6}) {
    if (ip == Ip::v6 && !has_ipv6_) break;
    for (const auto& reply : TRY(socket_.ask(nft::list_elements(inet, rules::denied_set(ip)))))
      for (const nft::Destination& one : nft::read_destinations(reply.view())) result.first.push_back(one);
  }
  return result;
}

Result<> Firewall::remove(NetlinkSocket& socket, uint32_t slot, const Owner& owner) {
  Result<> forgotten;
  std::vector<Message> batch;
  batch.push_back(nft::begin_batch());
  for (const nft::FoundTable& found : TRY(find_tables(socket, slot))) {
    if (!owner.made(found.note.comment)) continue;
    // First: killed in between, the table says it is to be done.
    if (auto done = forget_connections(socket, found); !done) forgotten = std::move(done);
    batch.push_back(nft::remove_table(found));
  }
  if (batch.size() == 1) return {};
  batch.push_back(nft::end_batch());
  TRY(socket.send(batch));
  return forgotten;
}

Result<std::vector<nft::FoundTable>> Firewall::tables(NetlinkSocket& socket) {
  std::vector<nft::FoundTable> result;
  for (const auto& reply : TRY(socket.ask(nft::list_tables()))) {
    auto found = nft::read_table(reply.view());
    if (found && rules::slot_of(found->table)) result.push_back(std::move(*found));
  }
  return result;
}

std::vector<std::string> explain(const FirewallSpec& spec) {
  std::vector<std::string> lines;
  for (const Message& message : compile(spec))
    if (message.answered()) lines.push_back(message.object());
  return lines;
}

}  // namespace bailey::network
