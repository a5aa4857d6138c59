// Removes what a sandbox left whose Bailey was killed. Its cgroups are found by its name, parts of networks by their locks,
// which nobody holds any more.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "dispatcher/state_store.h"
#include "network/lease.h"

namespace bailey::dispatcher {

// Removes the cgroups of dead sandboxes, below `parent` and where their records say. `store` outlives it.
StateStore::Collector cgroup_collector(const StateStore& store, const std::string& parent);

// Removes what sandboxes whose Bailey died have left: their cgroups, then their state, each sandbox on its own; then the ports
// and filters of networks in the network namespace of this thread that nobody holds any more. What cannot be removed stops
// nothing else. Error: the runtime directory cannot be read.
struct Collected {
  StateStore::Sweep sandboxes;
  Result<network::Remains> network;
};
Result<Collected> collect_garbage(StateStore& store, const std::string& cgroup_parent);

}  // namespace bailey::dispatcher
