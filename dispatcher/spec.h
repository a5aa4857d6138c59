// Spec: the sandbox of an admitted request; what runs in it is a Job. Immutable; only admission can make one, and backends take
// nothing else, so no path skips a guard.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bundle/config.h"
#include "dispatcher/guards.h"
#include "dispatcher/host_facts.h"
#include "dispatcher/policy.h"
#include "dispatcher/request.h"

namespace bailey::network {
struct LeaseSpec;
}

namespace bailey::dispatcher {

class Spec {
 public:
  Spec(Spec&&) = default;
  Spec& operator=(Spec&&) = default;

  const std::string& id() const { return request_.id; }
  const Request& request() const { return request_; }       // as asked, with the id drawn and each place inside by its one name
  const bundle::Config& config() const { return config_; }  // filled in: run's mounts, masks, namespaces and limits are in it
  // User, terminal and capabilities, which its jobs share, and defaults for the rest of a job. `args` is empty.
  const bundle::Process& process() const { return *config_.process; }
  const Level& level() const { return level_; }
  BackendKind backend() const { return backend_; }
  const std::string& why_backend() const { return why_backend_; }
  const LimitValues& limits() const { return limits_; }
  const network::BridgeSpec& bridge() const { return bridge_; }
  const std::string& uplink() const { return uplink_; }                      // the policy's
  std::span<const network::Grant> egress() const { return egress_; }         // in force; none on a network that nobody filters
  const std::vector<secrets::Request>& secrets() const { return secrets_; }  // those of directories as well
  bool host_rootfs() const { return !request_.config.root.has_value(); }
  const OpenedSource& rootfs() const { return facts_.rootfs; }
  // The opened source of config().mounts[i]; fd empty for mounts that have none (proc, tmpfs, ...).
  const OpenedSource& source_of(size_t mount) const;
  // The opened one of config().linux.namespaces[i]; -1 for a new one.
  int namespace_fd(size_t index) const { return facts_.namespaces[index].fd.get(); }
  bool has_links(size_t index) const { return facts_.namespaces[index].has_links; }  // of a network that is there
  uint32_t caller_uid() const { return facts_.euid; }
  const std::vector<Verdict>& verdicts() const { return verdicts_; }

 private:
  friend class Admission;
  Spec() = default;
  Request request_;
  bundle::Config config_;
  Level level_;
  BackendKind backend_ = BackendKind::gvisor;
  std::string why_backend_;
  LimitValues limits_;
  network::BridgeSpec bridge_;
  std::string uplink_;
  std::vector<network::Grant> egress_;
  std::vector<secrets::Request> secrets_;
  HostFacts facts_;
  std::vector<int> source_index_;  // config_.mounts[i] -> facts_.volumes index, -1 none
  std::vector<Verdict> verdicts_;
};

// What a sandbox of that spec asks of its network, if is_filtered(). Pure.
network::LeaseSpec lease_spec(const Spec& spec);

}  // namespace bailey::dispatcher
