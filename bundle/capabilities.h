// Names of capabilities (capabilities(7)) and the masks that the kernel takes. The only user of libcap. Pure, but that it asks
// this kernel which ones it knows.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "bundle/config.h"

namespace bailey::bundle {

struct CapabilitySets {  // bit N is capability N
  uint64_t bounding = 0, effective = 0, permitted = 0, inheritable = 0, ambient = 0;
  friend bool operator==(const CapabilitySets&, const CapabilitySets&) = default;
};

// Errors (Fault::bad_input): a name that is no capability, one that this kernel does not have, an effective one that is not
// permitted, an inheritable one outside the bounding set, an ambient one that is not both permitted and inheritable.
Result<CapabilitySets> parse_capabilities(const Capabilities& capabilities);
// As runc takes those of an engine: a name that nobody knows is no capability to give, and an ambient one that could not be
// raised is left out. Error (bad_input): an effective one that is not permitted.
Result<CapabilitySets> parse_engine_capabilities(const Capabilities& capabilities);

Capabilities capabilities_of(const CapabilitySets& sets);  // back to names

std::string capabilities_text(uint64_t mask);  // "CAP_CHOWN,CAP_KILL", "none"

}  // namespace bailey::bundle
