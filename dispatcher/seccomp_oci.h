// The `seccomp` object of an OCI configuration as rules. Pure.
#pragma once

#include <linux/filter.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/config.h"
#include "seccomp/program.h"

namespace bailey::dispatcher {

struct OciRules {
  seccomp::FilterRules rules;
  unsigned flags = 0;                      // SECCOMP_FILTER_FLAG_*
  std::vector<std::string> ignored_names;  // calls unknown here: as the specification asks, no error
};

// One fault of a profile: an unknown action, architecture, operator or flag (Fault::bad_input), or a wish for a listener
// (Fault::unavailable). `path` is the JSON path below the seccomp object: ".syscalls[3].action".
struct OciFault {
  std::string path;
  Error error;
};

// With the meaning that runc and libseccomp give it; seccomp_oci.cc says it at its top. Nothing when there are faults.
std::optional<OciRules> read_oci_seccomp(const bundle::Seccomp& seccomp, std::vector<OciFault>& faults);
// The same with the first fault as the error.
Result<OciRules> read_oci_seccomp(const bundle::Seccomp& seccomp);

// The program of an engine's profile, which a workload has as its only filter; no instructions: there is no profile. Errors:
// those of read_oci_seccomp; a profile that does not let a program start or end (bad_input); one that is too long.
struct EngineFilter {
  std::vector<sock_filter> program;
  unsigned flags = 0;  // SECCOMP_FILTER_FLAG_*
  std::vector<std::string> ignored_names;
};
Result<EngineFilter> compile_engine_filter(const std::optional<bundle::Seccomp>& profile);
// That such rules let a program start and end.
Result<> check_usable(const seccomp::FilterRules& rules);

}  // namespace bailey::dispatcher
