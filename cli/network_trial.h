// What of the bridge and userspace networks works here, each part tried: for `bailey network check` and `bailey doctor`.
#pragma once

#include <vector>

#include "dispatcher/policy.h"
#include "host/probe.h"

namespace bailey::cli {

// As root: a bridge, a port and a filter are made and removed in a network namespace that ends with this; then whether the host
// has a range for the bridge and forwards. Changes nothing on the host. As anybody else one line says that it takes root. The
// userspace network is made as for a run, in a child.
std::vector<host::Probe> try_network(const dispatcher::Policy& policy);

}  // namespace bailey::cli
