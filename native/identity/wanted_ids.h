// Ids inside that a Spec asks for by number, and which the user namespace has to map. Pure.
#pragma once

#include <string>
#include <vector>

#include "dispatcher/spec.h"
#include "native/identity/id_map.h"

namespace bailey::native {

// Collects the ids of the workload, its groups, secrets and file systems in memory. Adds a fault for more than IdMap::kMostFar
// ids above 65535, and without `many_ids` for an owner other than the workload.
WantedIds find_wanted_ids(const dispatcher::Spec& spec, bool many_ids, std::vector<std::string>& faults);

}  // namespace bailey::native
