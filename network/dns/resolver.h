// Resolver: answers a sandbox's questions about names, on the gateway, and has the firewall opened for what it found.
//
// The work is done by a child process (network/confined/worker.h): it takes questions of `client` by UDP and TCP, asks the
// host's name servers for the names that the grants allow, and refuses the rest. Addresses of a granted name are handed to this
// process first, and the client gets its answer when they are open: its first packet goes through.
//
//   client --- question ---> worker --- question ---> name servers
//                            worker <--- answer ----
//                            worker --- found ---> serve() ---> admit
//   client <--- answer ----- worker <--- go ------ serve()
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "network/confined/worker.h"
#include "network/dns/host_names.h"
#include "network/filter/egress.h"
#include "network/ip/address.h"

namespace bailey::network {

struct ResolverSpec {
  Address listen;  // the gateway
  Address client;  // the sandbox
  std::vector<Grant> egress;
  std::vector<std::string> servers;     // addresses, asked in this order on port 53
  bool ipv6 = false;                    // the sandbox has it: granted names have AAAA
  std::vector<std::string> search;      // of the sandbox's resolv.conf
  Hosts hosts;                          // answered by themselves, under the same grants
  std::optional<uint32_t> connections;  // to name servers, as the host's conntrack counts them
};

// Where questions come in; move-only.
struct NameSockets {
  Fd datagrams, listener;
  uint16_t port = 0;  // of both
};
// On a port that the kernel chooses, in this thread's namespace. The address need not be there yet.
Result<NameSockets> bind_names(const Address& address);

struct DeniedNames {
  uint64_t total = 0;              // questions refused
  std::vector<std::string> names;  // of those the first 64 distinct ones, printable; "NAME (ADDRESS)": a name that leads to
                                   // what is closed
};

class Resolver {
 public:
  // Name servers are asked from this thread's network namespace, wherever `sockets` are. The caller has one thread.
  // await_confined() is to follow, as for a Worker.
  static Result<Resolver> begin(const ResolverSpec& spec, NameSockets sockets);
  Result<> await_confined() { return worker_.await_confined(); }

  uint16_t port() const { return port_; }
  pid_t pid() const { return worker_.pid(); }
  int fd() const { return worker_.channel(); }  // readable: call serve()
  // What one answer holds: the addresses lie in no closed range, seconds as by open_seconds() (network/dns/name_rules.h). An
  // error of it makes the client's answer a SERVFAIL.
  using Admit = std::function<Result<>(std::span<const Opening>)>;
  // Does what the worker asked for, without waiting. Error: it has ended (and how) or spoke nonsense and was ended; names are
  // not resolved from then on, fd() is -1.
  Result<> serve(const Admit& admit);
  DeniedNames denied() const;
  void kill() { worker_.kill(); }  // reset() need not wait for long, then
  void reset() { worker_.reset(); }

 private:
  std::string end();
  Result<> permit(const Admit& admit, const char* bytes, size_t size);
  Result<> note(const char* bytes, size_t size);

  struct Unmap {
    void operator()(std::atomic<uint64_t>* counter) const;
  };
  std::vector<Grant> egress_;
  bool ipv6_ = false;
  std::unique_ptr<std::atomic<uint64_t>, Unmap> denied_;
  std::vector<std::string> names_;
  bool warned_ = false;
  uint16_t port_ = 0;
  // The worker's too. The firewall lets the sandbox to this port as long as it stands: nobody else may have it by then.
  Fd datagrams_, listener_;
  Worker worker_;
};

}  // namespace bailey::network
