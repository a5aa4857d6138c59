// What of the bridge and userspace networks works here, each part tried: for `bailey network check` and `bailey doctor`; and
// what gc says of what it found of them.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "dispatcher/policy.h"
#include "host/probe/probe.h"
#include "network/lease.h"

namespace bailey::cli {

// As root: a bridge, a port and a filter are made and removed in a network namespace that ends with this; then whether the host
// has a range for the bridge and forwards. Changes nothing on the host. As anybody else one line says that it requires root.
// The userspace network is made as for a run, in a child.
std::vector<host::Probe> try_network(const dispatcher::Policy& policy);

// What was removed, and what is left because it is somebody else's: for people, one line each; as "network_slots" and
// "network_foreign" of a document.
std::string text_of(const network::Remains& removed);
void describe(const network::Remains& removed, json::Object& document);

}  // namespace bailey::cli
