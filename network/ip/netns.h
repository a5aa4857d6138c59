// Netns: a network namespace, held by descriptor. network/ is what both backends' networks are made of; it knows no sandbox:
//
// clang-format off
//   lease.h     the whole network of one sandbox     wiring_process.h  the child that makes and removes firewall and port
//   members.h   who is on a shared network
//   userspace/  the same behind a program (pasta, slirp4netns) in place of the host's forwarding
//   dns/        questions about names                publish/          published ports
//   filter/     grants, and the rules of one sandbox bridge/           the bridge, its veth pairs
//   nftables/   nf_tables as messages                netlink/          messages to the kernel and back
//   confined/   child processes that parse hostile bytes
//   ip/         addresses, socket addresses, network namespaces, ownership marks
// clang-format on
//
// Nothing here may run between clone and exec. CAP_NET_ADMIN in the namespace worked on, CAP_SYS_ADMIN to enter one.
#pragma once

#include <functional>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::network {

class Netns {
 public:
  Netns() = default;
  explicit Netns(Fd fd) : fd_(std::move(fd)) {}
  // A new one, empty but for `lo`, which is down. The thread is back in its own when this returns.
  static Result<Netns> create();
  static Result<Netns> of_this_thread();
  // The one of a process (/proc/PID/ns/net, by pidfd): its kind is checked.
  static Result<Netns> of_process(int pidfd);

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  Result<bool> same_as(const Netns& other) const;

  // Runs `act` in it, on this thread, and comes back. A thread that could not come back would do its host's work in a
  // sandbox's network: the process ends instead (log::end_process).
  Result<> run(const std::function<Result<>()>& act) const;

 private:
  Fd fd_;
};

// In the namespace of this thread: no IPv6 on a link ("all" and "default" as well), no router advertisements. A kernel
// without IPv6 is fine. Error: ipv6 is there and will not be switched off.
Result<> disable_ipv6(const std::string& link);
// There too: IPv6 on a link, and nothing but what is given to it: no link-local address, no router advertisements, redirects or
// solicitations. Fault::unavailable: this kernel has no IPv6.
Result<> enable_ipv6(const std::string& link);

}  // namespace bailey::network
