#include "dispatcher/spec.h"

#include <algorithm>
#include <cstdint>

#include "network/lease.h"

namespace bailey::dispatcher {

const OpenedSource& Spec::source_of(size_t mount) const {
  static const OpenedSource none;
  const int index = mount < source_index_.size() ? source_index_[mount] : -1;
  return index < 0 ? none : facts_.volumes[static_cast<size_t>(index)];
}

network::LeaseSpec lease_spec(const Spec& spec) {
  network::LeaseSpec lease;
  lease.bridge = spec.bridge();
  lease.ipv6 = spec.request().ipv6;
  lease.shared = spec.request().shared_network;
  lease.host = spec.request().config.hostname;
  lease.egress.assign(spec.egress().begin(), spec.egress().end());
  lease.publish = spec.request().publish;
  if (spec.request().network == NetworkMode::userspace) lease.uplink = {spec.uplink()};
  lease.bytes_per_second = spec.limits().network_rate_bytes;
  if (const auto most = spec.limits().network_connections)
    lease.connections = static_cast<uint32_t>(std::min<uint64_t>(*most, UINT32_MAX));
  return lease;
}

}  // namespace bailey::dispatcher
