// The `seccomp` object of an OCI configuration as rules. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/config.h"
#include "native/seccomp_program.h"

namespace bailey::native {

struct OciRules {
  FilterRules rules;
  unsigned flags = 0;                      // SECCOMP_FILTER_FLAG_*
  std::vector<std::string> ignored_names;  // calls unknown here: as the specification asks, no error
};

// With the meaning that runc and libseccomp give it; seccomp_oci.cc says it at its top.
// Errors: Fault::bad_input for an unknown action, architecture, operator or flag; Fault::unavailable for SCMP_ACT_NOTIFY and
// listenerPath.
Result<OciRules> read_oci_seccomp(const bundle::Seccomp& seccomp);

}  // namespace bailey::native
