// Ids inside that a Spec asks for by number, and which the user namespace has to map. Pure.
#pragma once

#include <string>
#include <vector>

#include "dispatcher/spec.h"
#include "native/identity/id_map.h"

namespace bailey::native {

// Of the workload, its groups, secrets, and file systems in memory. `faults` gathers what cannot be had: more far ids than
// IdMap::kMostFar; without `many_ids` an owner other than the workload.
WantedIds find_wanted_ids(const dispatcher::Spec& spec, bool many_ids, std::vector<std::string>& faults);

}  // namespace bailey::native
