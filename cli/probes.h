// Probes as `bailey doctor` and `bailey network check` print them.
#pragma once

#include <string>

#include "base/json.h"
#include "host/probe/probe.h"

namespace bailey::cli {

// "missing   runsc                   no runsc found; costs: ...; remedy: ..." and a newline
std::string line(const host::Probe& probe);
json::Object to_json(const host::Probe& probe);

}  // namespace bailey::cli
