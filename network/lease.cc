#include "network/lease.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/log.h"
#include "network/bridge/link.h"
#include "network/dns/name_rules.h"
#include "network/filter/firewall_rules.h"

namespace bailey::network {

namespace {

constexpr const char* kSlots = ".network-slots";  // in the runtime directory; the dot keeps them apart from the sandboxes
constexpr const char* kUserspaceSlots = ".userspace-slots";  // nothing is named after these outside of a userspace network
constexpr const char* kBridgeLock = ".network-bridge";

// Two who make the bridge at once would give it two ranges. Where it is made there is no lock: each question may wait for the
// kernel's one lock on links, and who waits behind this one waits for all of them. What is wrong with it is judged with the
// lock alone: somebody may be making it.
Result<Bridge> ensure_bridge(NetlinkSocket& socket, const LeaseSpec& spec, const Owner& owner) {
  const auto there = Bridge::find(socket, spec.bridge, owner, spec.ipv6);
  if (there && *there && (!spec.ipv6 || (*there)->subnet6)) return **there;
  const Fd lock = TRY(files::open_at(owner.directory, kBridgeLock, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  int locked = -1;
  do {
    locked = ::flock(lock.get(), LOCK_EX);
  } while (locked < 0 && errno == EINTR);
  if (locked < 0) return sys_error("locking the bridge", errno);
  Bridge bridge = TRY(Bridge::ensure(socket, spec.bridge, owner));
  if (spec.ipv6) TRY(bridge.add_ipv6(socket, spec.bridge));
  return bridge;
}

// No gateway but ours has a say about the way: the host's filter drops what would have one (network/filter/firewall_rules.cc),
// too.
Result<> believe_no_redirects() {
  for (const char* link : {"all", "default"})
    TRY(files::write_existing(AT_FDCWD, std::string("/proc/sys/net/ipv4/conf/") + link + "/accept_redirects", "0"));
  return {};
}

// Ports below 1024 and ping are nobody's privilege in a namespace that only one sandbox has. ping_group_range speaks of groups
// of the initial user namespace (net/ipv4/sysctl_net_ipv4.c, ipv4_ping_group_range), hence all of them.
Result<> open_low_ports() {
  TRY(files::write_existing(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"));
  // Whoever writes it has to know both ids: an ordinary user in a userspace network has the one, which is the workload's, too.
  const std::string own = std::to_string(::getegid());
  return files::write_existing(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range",
                               ::geteuid() == 0 ? "0 2147483647" : own + " " + own);
}

Result<> prepare_inside() {
  TRY(believe_no_redirects());
  return open_low_ports();
}

// Of a slot that is held, what `owner` made; the port goes first: it is never without its filter.
Result<> remove_remains(NetlinkSocket& routes, NetlinkSocket& filters, uint32_t slot, const Owner& owner) {
  const auto port = Port::remove(routes, slot, owner);
  if (!port && port.error().fault != Fault::unavailable) return port;
  return Firewall::remove(filters, slot, owner);
}
Result<> remove_remains(uint32_t slot, const Owner& owner) {
  auto routes = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  auto filters = TRY(NetlinkSocket::open(NETLINK_NETFILTER));
  return remove_remains(routes, filters, slot, owner);
}

bool needs_names(const LeaseSpec& spec) {
  return std::ranges::any_of(
      spec.egress, [](const Grant& grant) { return grant.kind == Grant::Kind::dns || grant.kind == Grant::Kind::name; });
}

// But for what is known in a start only: the resolver's port, and what a userspace network closes.
FirewallSpec filter_of(const LeaseSpec& spec, const Bridge& bridge, uint32_t slot) {
  FirewallSpec filter;
  filter.slot = slot;
  filter.port = port_name(slot);
  filter.mac = Bridge::mac_of(slot);
  filter.address = bridge.address(slot);
  if (spec.ipv6) filter.address6 = bridge.address(slot, Ip::v6);
  filter.bridge = bridge;
  filter.egress = spec.egress;
  filter.bytes_per_second = spec.bytes_per_second;
  filter.connections = spec.connections;
  filter.shared = spec.shared;
  for (const Publish& one : spec.publish) filter.published.push_back({one.protocol, one.port});
  return filter;
}

}  // namespace

Result<Lease> Lease::reserve(const LeaseSpec& spec, int directory) {
  Lease lease;
  Listeners listeners = TRY(bind_ports(spec.publish));  // of the host, whatever comes
  if (spec.uplink) {
    TRY(lease.enter_userspace_network(spec, directory));
  } else {
    auto socket = TRY(NetlinkSocket::open(NETLINK_ROUTE));
    const Owner owner = TRY(Owner::of(directory));
    lease.bridge_ = TRY(ensure_bridge(socket, spec, owner));
    TRY(lease.take_slot(directory, kSlots));
    TRY(Members::clear(directory, lease.slot()));
    if (!spec.shared.empty()) {
      lease.members_ = TRY(Members::open(directory, kSlots));
      TRY(lease.learn_names(spec.shared));
    }
  }
  lease.ipv6_ = spec.ipv6;
  if (spec.uplink && ::geteuid() != 0) {
    OwnedNetns made = TRY(create_owned_netns());
    lease.netns_owner_ = std::move(made.owner);
    lease.netns_ = std::move(made.netns);
  } else {
    lease.netns_ = TRY(Netns::create());
  }
  TRY(lease.netns_.run(prepare_inside));
  lease.relay_ = TRY(Relay::begin(std::move(listeners), lease.address()));
  if (needs_names(spec) && !lease.resolver_) {
    NameSockets sockets = TRY(bind_names(lease.bridge_.gateway()));
    TRY(lease.begin_resolver(spec, std::move(sockets)));
  }
  if (!spec.uplink)
    lease.wiring_process_ = TRY(WiringProcess::begin([&] { return lease.wire(spec, directory); }, lease.netns_.fd(),
                                                     {lease.netns_.fd(), lease.slot_.fd(), directory}));
  return lease;
}

// The resolver asks the host's name servers, which may be on the host's loopback: it is made before this process moves.
Result<> Lease::enter_userspace_network(const LeaseSpec& spec, int directory) {
  userspace_ = TRY(UserspaceNetwork::create({*spec.uplink, spec.bridge, needs_names(spec)}));
  const Owner owner = TRY(Owner::of(directory));
  bridge_ = {userspace_.bridge().name, 0, {}, *userspace_.bridge().subnet, {}, owner.mark};  // connect() makes it
  TRY(take_slot(directory, kUserspaceSlots));
  if (needs_names(spec)) TRY(begin_resolver(spec, userspace_.take_names()));
  return userspace_.enter();
}

Result<> Lease::take_slot(int directory, const char* locks) {
  auto slot = TRY_WITH(Slot::take(directory, locks, bridge_.capacity()), "reserving an address");
  if (!slot)
    return fail(Fault::unavailable,
                "all " + std::to_string(bridge_.capacity()) + " addresses of bridge " + bridge_.name + " (" +
                    to_text(bridge_.subnet) + ") are in use",
                "end some sandboxes first, or give the bridge a larger subnet in the policy");
  slot_ = std::move(*slot);
  return {};
}

Result<> Lease::begin_resolver(const LeaseSpec& spec, NameSockets sockets) {
  conf_ = TRY(read_resolv_conf());
  ResolverSpec resolver{bridge_.gateway(), address(),    spec.egress, conf_.servers,
                        spec.ipv6,         conf_.search, {},          spec.connections};
  const auto wanted = [&](std::string_view name) { return may_be_asked(name, spec.egress, conf_.search); };
  if (auto hosts = read_hosts(wanted)) resolver.hosts = std::move(*hosts);
  else log::warning("the names of /etc/hosts are not resolved in the sandbox: " + hosts.error().message);
  resolver_ = TRY(Resolver::begin(resolver, std::move(sockets)));
  return {};
}

Result<Wiring> Lease::wire(const LeaseSpec& spec, int directory) const {
  FirewallSpec filter = filter_of(spec, bridge_, slot());
  if (spec.uplink) filter.closed = userspace_.closed();
  if (resolver_) filter.dns_port = resolver_->port();
  // The sandbox of a killed Bailey may have a process that is still dying: it must not get what this one may reach.
  const int remains = TRY(link::index_of(filter.port));
  if (remains != 0) {
    auto socket = TRY(NetlinkSocket::open(NETLINK_ROUTE));
    TRY(Port::remove(socket, slot(), {bridge_.mark}));
  }
  Wiring wiring;
  wiring.firewall = TRY(Firewall::create(filter));
  if (!spec.shared.empty()) TRY_WITH(join(spec, directory, wiring.firewall), "joining the network '" + spec.shared + "'");
  wiring.port = TRY(Port::create(
      bridge_, {.name = filter.port, .slot = slot(), .ipv6 = spec.ipv6, .mtu = spec.uplink ? kUplinkMtu : 0}, netns_));
  return wiring;
}

Result<> Lease::connect(const LeaseSpec& spec) {
  if (spec.uplink) {
    TRY(userspace_.await_uplink());  // first: slirp4netns gives its link all of 10.0.0.0/8 for a moment
    auto socket = TRY(NetlinkSocket::open(NETLINK_ROUTE));
    bridge_ = TRY(Bridge::ensure(socket, userspace_.bridge(), {bridge_.mark}));
    wiring_ = TRY(wire(spec, -1));
  } else {
    if (auto made = wiring_process_.await(); !made) {
      (void)remove_remains(slot(), {bridge_.mark});  // of one that was killed
      return made;
    }
    wiring_.firewall = TRY(Firewall::of(slot(), spec.ipv6));
  }
  TRY(relay_.await_confined());
  return resolver_ ? resolver_->await_confined() : Result<>();
}

// Before the links are there: what /etc/hosts says is fixed when the sandbox is made.
Result<> Lease::learn_names(const std::string& shared) {
  const std::vector<Member> others = TRY(members_.others(bridge_.name + "/" + shared, slot()));
  for (const Member& other : others)
    if (!other.host.empty() && std::ranges::find(neighbours_, other.host, &Neighbour::host) == neighbours_.end())
      neighbours_.push_back({other.host, bridge_.address(other.slot)});
  return {};
}

// The filter is there first, then the record, then this looks around: whoever is found can be met, and of two who join at once
// the later one finds the other. So it takes no lock.
Result<> Lease::join(const LeaseSpec& spec, int directory, Firewall& firewall) const {
  const std::string network = bridge_.name + "/" + spec.shared;
  Members members = TRY(Members::open(directory, kSlots));
  TRY(members.enter(slot(), network, label_of(spec.host)));
  const std::vector<Member> others = TRY(members.others(network, slot()));
  for (const Member& other : others)
    for (const Ip ip : {Ip::v4, Ip::v6})
      if (ip == Ip::v4 || ipv6_) TRY(firewall.meet(other.slot, bridge_.address(slot(), ip), bridge_.address(other.slot, ip)));
  return {};
}

std::optional<Address> Lease::address6() const { return ipv6_ ? std::optional(bridge_.address(slot(), Ip::v6)) : std::nullopt; }

std::optional<Address> Lease::resolver() const { return resolver_ ? std::optional(bridge_.gateway()) : std::nullopt; }

Result<> Lease::serve_names() {
  return resolver_->serve([this](std::span<const Opening> openings) { return wiring_.firewall.admit(openings); });
}

Result<Refused> Lease::refused() {
  Refused refused{TRY(wiring_.firewall.denials()), {}};
  if (!resolver_) return refused;
  // A workload that asked at its very end: what was refused was told to us before it was to the workload.
  if (resolver_->fd() >= 0) (void)serve_names();
  refused.names = resolver_->denied();
  return refused;
}

void Lease::end_names() {
  if (resolver_) resolver_->kill();
}

Result<> Lease::reset() {
  if (!slot_) return {};
  if (members_) members_.leave(slot());
  resolver_.reset();
  relay_.reset();
  netns_ = Netns();
  // What is in a userspace network goes with that namespace, and what is on the host with the wiring process.
  wiring_.port.forget();
  wiring_.firewall.forget();
  Result<> removed;
  if (wiring_process_ && !wiring_process_.let_go()) removed = remove_remains(slot(), {bridge_.mark});
  *this = Lease();
  return removed;
}

Result<std::vector<std::string>> explain(const LeaseSpec& spec) {
  Bridge bridge{spec.bridge.name, 0, Bridge::kMac, {}, {}, {}};
  bridge.subnet = spec.bridge.subnet ? *spec.bridge.subnet : TRY(free_subnet({}));
  bridge.subnet6 = spec.bridge.subnet6 ? *spec.bridge.subnet6 : TRY(free_subnet({}, Ip::v6));
  FirewallSpec filter = filter_of(spec, bridge, 0);
  if (needs_names(spec)) filter.dns_port = 53;
  return explain(filter);
}

namespace {

// The slots that `owner` has ports or filters of, and what is named like one and somebody else's.
Result<Remains> look_around(NetlinkSocket& routes, NetlinkSocket& filters, const Owner& owner) {
  Remains found;
  const auto links = TRY(link::all(routes));
  for (const link::Link& link : links) {
    const auto slot = slot_of_port(link.name);
    if (slot && Port::is_of(owner, link, links)) found.slots.push_back(*slot);
    if (slot && !Port::is_of(owner, link, links)) found.foreign.push_back("link " + link.name);
  }
  for (const auto& [table, handle, note] : TRY(Firewall::tables(filters))) {
    if (owner.made(note.comment)) found.slots.push_back(*rules::slot_of(table));
    if (!owner.made(note.comment)) found.foreign.push_back("table " + nft::to_text(table));
  }
  std::ranges::sort(found.slots);
  found.slots.erase(std::ranges::unique(found.slots).begin(), found.slots.end());
  return found;
}

}  // namespace

Result<Remains> look_around(int directory) {
  const Owner owner = TRY(Owner::of(directory));
  auto routes = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  auto filters = TRY(NetlinkSocket::open(NETLINK_NETFILTER));
  return look_around(routes, filters, owner);
}

Result<Remains> collect(int directory) {
  if (::faccessat(directory, kSlots, F_OK, 0) < 0 && errno == ENOENT) return Remains();  // there never was one
  const Owner owner = TRY(Owner::of(directory));
  auto routes = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  auto filters = TRY(NetlinkSocket::open(NETLINK_NETFILTER));
  const Remains found = TRY(look_around(routes, filters, owner));
  Remains removed{{}, found.foreign};
  for (const uint32_t number : found.slots) {
    const auto slot = TRY(Slot::take_number(directory, kSlots, number));  // held while its remains are removed
    if (!slot) continue;
    TRY(remove_remains(routes, filters, number, owner));
    removed.slots.push_back(number);
  }
  return removed;
}

}  // namespace bailey::network
