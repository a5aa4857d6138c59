// Where binds are to lie: a directory on a directory, a file on a file, or on nothing yet. Looked at before runsc, whose own
// message names neither.
#pragma once

#include "base/result.h"
#include "gvisor/plan.h"
#include "gvisor/private_root.h"

namespace bailey::gvisor {

// Fault::refused, with the source's and the destination's names, for the first volume or secret that does not fit. What cannot
// be looked at is left to runsc.
Result<> check_destinations(const Plan& plan, const Sources& sources);

}  // namespace bailey::gvisor
