#include "cli/network_trial.h"

#include <linux/netlink.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/child.h"
#include "base/files.h"
#include "dispatcher/state_store.h"
#include "network/bridge/link.h"
#include "network/lease.h"
#include "network/userspace/uplink.h"

namespace bailey::cli {

namespace {

using host::Probe;

constexpr size_t kMostWords = 16 * 1024;

Probe judged(const char* name, const Result<std::string>& outcome, const char* cost) {
  if (outcome) return {name, Probe::State::ok, *outcome, "", ""};
  return {name, Probe::State::degraded, outcome.error().message, cost, outcome.error().remedy};
}

// All that a sandbox needs, where it shows nowhere.
Result<> try_lease(bool ipv6) {
  const dispatcher::StateStore store = TRY(dispatcher::StateStore::open());
  const network::Netns aside = TRY(network::Netns::create());
  return aside.run([&]() -> Result<> {
    network::LeaseSpec spec;
    spec.ipv6 = ipv6;
    spec.connections = 1;
    spec.bytes_per_second = 1 << 20;
    network::Lease lease = TRY(network::Lease::reserve(spec, store.directory()));
    return lease.connect(spec);  // and back
  });
}

Result<std::string> try_leases() {
  TRY(try_lease(false));
  const Result<> ipv6 = try_lease(true);
  return "namespaces, veth, bridge and nf_tables work" + (ipv6 ? ", with IPv6 too" : "; no IPv6: " + ipv6.error().message);
}

Result<std::string> find_range(const network::BridgeSpec& bridge) {
  const dispatcher::StateStore store = TRY(dispatcher::StateStore::open());
  const network::Owner owner = TRY(network::Owner::of(store.directory()));
  auto socket = TRY(network::NetlinkSocket::open(NETLINK_ROUTE));
  if (const auto there = TRY(network::Bridge::find(socket, bridge, owner)))
    return bridge.name + " is there, with " + network::to_text(there->subnet) +
           (there->subnet6 ? " and " + network::to_text(*there->subnet6) : "");
  const auto routed = TRY(network::link::routed(socket, network::Ip::v4));
  if (bridge.subnet) TRY(network::check_subnet(*bridge.subnet, routed));
  const network::Subnet range = bridge.subnet ? *bridge.subnet : TRY(network::free_subnet(routed));
  return bridge.name + " would get " + network::to_text(range);
}

Result<std::string> find_foreign() {
  const dispatcher::StateStore store = TRY(dispatcher::StateStore::open());
  const network::Remains found = TRY(network::look_around(store.directory()));
  if (found.foreign.empty()) return "no link or table of somebody else's is in the way";
  std::string names;
  for (const std::string& name : found.foreign) names += (names.empty() ? "" : ", ") + name;
  return fail(Fault::unavailable, "Bailey did not make these, or one with another runtime directory did: " + names,
              "remove them when nobody needs them (`ip link delete`, `nft delete table`)");
}

Result<std::string> try_forwarding() {
  TRY(network::check_forwarding(network::Ip::v4));
  const bool ipv6 = network::check_forwarding(network::Ip::v6).has_value();
  return ipv6 ? "of IPv4 and IPv6" : "of IPv4; net.ipv6.conf.all.forwarding is off: nothing beyond this host with --ipv6";
}

// The whole of it in a child: whoever makes a userspace network stays in it. The child's answer is an error's message, a NUL
// and its remedy; nothing: it works.
Result<std::string> try_userspace(const dispatcher::Policy& policy) {
  const network::UplinkSpec uplink{policy.uplink};
  const network::UplinkProgram program = TRY(network::find_uplink(uplink));
  Pipe pipe = TRY(create_pipe());
  const pid_t child = ::fork();
  if (child < 0) return sys_error("forking", errno);
  if (child == 0) {
    const auto tried = [&]() -> Result<> {
      const dispatcher::StateStore store = TRY(dispatcher::StateStore::open());
      network::LeaseSpec spec;
      spec.bridge = policy.bridge;
      spec.uplink = uplink;
      network::Lease lease = TRY(network::Lease::reserve(spec, store.directory()));
      return lease.connect(spec);
    }();
    if (!tried) (void)files::write_fd(pipe.write.get(), tried.error().message + '\0' + tried.error().remedy, "a pipe");
    ::_exit(tried ? 0 : 1);
  }
  pipe.write.reset();
  const auto said = files::read_fd(pipe.read.get(), kMostWords, "a pipe");
  const int status = TRY(await_child(child));
  if (status == 0) return std::string(program.name()) + " at " + program.program.path;
  const std::string words = said.value_or("");
  if (words.empty())
    return fail(Fault::unavailable, WIFSIGNALED(status)
                                        ? "the child that tried it was ended by signal " + std::to_string(WTERMSIG(status))
                                        : "the child that tried it ended without a word");
  const size_t end = words.find('\0');
  return fail(Fault::unavailable, words.substr(0, end), end == words.npos ? "" : words.substr(end + 1));
}

}  // namespace

std::vector<Probe> try_network(const dispatcher::Policy& policy) {
  const Probe userspace = judged("userspace network", try_userspace(policy), "no `--net userspace`");
  if (::geteuid() != 0)
    return {{"bridge network", Probe::State::degraded, "it requires root", "no `--net bridge`", "run as root"}, userspace};
  return {judged("bridge network", try_leases(), "no `--net bridge`"),
          judged("bridge's range", find_range(policy.bridge), "no `--net bridge`"),
          judged("bridge's names", find_foreign(), "starts on the bridge that get the slot of such a name are refused"),
          judged("forwarding", try_forwarding(), "`--net bridge` reaches nothing beyond this host"), userspace};
}

std::string text_of(const network::Remains& removed) {
  std::string text;
  for (const uint32_t slot : removed.slots) text += "removed port and filter of network slot " + std::to_string(slot) + "\n";
  for (const std::string& name : removed.foreign) text += "left " + name + ": Bailey did not make it\n";
  return text;
}

void describe(const network::Remains& removed, json::Object& document) {
  document.set("network_slots", json::Array(removed.slots.begin(), removed.slots.end()));
  document.set("network_foreign", json::Array(removed.foreign.begin(), removed.foreign.end()));
}

}  // namespace bailey::cli
