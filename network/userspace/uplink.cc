#include "network/userspace/uplink.h"

#include <array>
#include <cstdlib>

namespace bailey::network {

namespace {

constexpr const char* kInstall = "install passt or slirp4netns (Debian's packages of that name), or --net none";
constexpr uint32_t kOurs = 100, kTheirs = 2;  // as slirp4netns numbers its range

struct Known {
  UplinkKind kind;
  std::string_view name;
  std::array<const char*, 2> places;
};
constexpr Known kKnown[] = {
    {UplinkKind::pasta, "pasta", {"/usr/bin/pasta", "/usr/local/bin/pasta"}},
    {UplinkKind::slirp4netns, "slirp4netns", {"/usr/bin/slirp4netns", "/usr/local/bin/slirp4netns"}},
};

}  // namespace

Result<UplinkProgram> find_uplink(const UplinkSpec& spec) {
  const char* path = ::getenv("PATH");
  const std::string_view file = std::string_view(spec.program).substr(spec.program.rfind('/') + 1);
  for (const Known& known : kKnown) {
    if (!spec.program.empty() && file != known.name) continue;
    std::string found_at = spec.program;
    if (found_at.empty()) {
      auto found = find_program({known.name, path ? path : "", known.places, kInstall});
      if (!found) continue;
      found_at = std::move(*found);
    }
    return UplinkProgram{known.kind, TRY(open_program(found_at, known.name, kInstall))};
  }
  if (spec.program.empty())
    return fail(Fault::unavailable, "the userspace network takes pasta or slirp4netns, and neither is here", kInstall);
  return fail(Fault::unavailable, "the uplink '" + spec.program + "' is neither a pasta nor a slirp4netns",
              "name one of those two in the policy, or none: they are searched for");
}

std::vector<std::string> uplink_arguments(UplinkKind kind, const UplinkArguments& in) {
  const std::string ours = to_text(in.range.at(kOurs)), theirs = to_text(in.range.at(kTheirs));
  if (kind == UplinkKind::slirp4netns)
    return {"slirp4netns",
            "--configure",
            "--mtu=" + std::to_string(kUplinkMtu),
            "--cidr=" + to_text(in.range),
            "--disable-host-loopback",
            "--disable-dns",
            "--enable-sandbox",
            "--enable-seccomp",
            "--netns-type=path",
            in.netns,
            std::string(kUplink)};
  std::vector<std::string> arguments = {"pasta", "--foreground", "--quiet", "--stderr", "--ipv4-only", "--config-net"};
  if (!in.like.empty()) arguments.insert(arguments.end(), {"--interface", in.like});
  for (const char* forwarding : {"-t", "-u", "-T", "-U"}) arguments.insert(arguments.end(), {forwarding, "none"});
  arguments.insert(arguments.end(), {"--no-map-gw", "--no-dhcp", "--no-dhcpv6", "--no-ndp", "--no-ra"});
  arguments.insert(arguments.end(), {"--mtu", std::to_string(kUplinkMtu), "--ns-ifname", kUplink, "--address", ours,
                                     "--netmask", std::to_string(in.range.length), "--gateway", theirs});
  arguments.insert(arguments.end(), {"--netns-only", "--no-netns-quit", "--netns", in.netns});
  return arguments;
}

}  // namespace bailey::network
