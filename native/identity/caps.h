// Capabilities: five sets and the securebits. Names are resolved in the parent (bundle/capabilities.h); the
// child applies masks with raw system calls, in three steps:
//
//   limit_bounding_set  at any time before (CAP_SETPCAP): takes nothing from this process, only from what it may execute
//   keep_caps           while still uid 0 of the user namespace: securebits set (CAP_SETPCAP)
//                       then setgroups, setresgid, setresuid: capabilities survive them, whatever the plan
//   apply_caps          permitted, effective, inheritable, then ambient; after it nothing is left but the plan
//
// The default plan is five empty sets and locked securebits: uid 0 means nothing, no set can ever be filled
// again.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "bundle/capabilities.h"

namespace bailey::native {

// SECBIT_NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each locked, and KEEP_CAPS locked at off
// (linux/securebits.h).
inline constexpr uint32_t kLockedSecurebits = 0xef;

struct CapsPlan : bundle::CapabilitySets {
  uint32_t securebits = kLockedSecurebits;  // 0: left as they are, as OCI runtimes do
  friend bool operator==(const CapsPlan&, const CapsPlan&) = default;
};

// From the five lists of an OCI configuration; all of them empty gives the default plan. Errors: bundle::parse_capabilities.
Result<CapsPlan> compile_caps(const bundle::Capabilities& capabilities);

// All return 0 or an errno, allocate nothing and may run between clone and exec, in the only thread. A refusal of the kernel's
// is an error; nothing is skipped.
int limit_bounding_set(const CapsPlan& plan);
int keep_caps(const CapsPlan& plan);
int apply_caps(const CapsPlan& plan);

}  // namespace bailey::native
