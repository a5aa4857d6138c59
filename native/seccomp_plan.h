// Which filters one sandbox gets. PID 1 and the workload get the base; the workload gets another one on top when the caller
// brought a profile, or when its calls are to be reported. Pure.
//
//   the caller's profile   base (PID 1 and workload)   on top (workload)          what holds for the workload
//   none                   built-in                    -                          built-in
//   narrows                built-in                    the caller's               the stricter of both
//   replaces               floor                       the caller's               the stricter of both
//   calls are reported     the base, refusals as       what holds, refusals       the same, and the listener gives the
//                          RET_TRACE                   as RET_USER_NOTIF          errno that would have been given
//
// RET_USER_NOTIF outranks RET_TRACE, so a refused call of the workload is reported. Without a tracer RET_TRACE refuses with
// ENOSYS, so PID 1 stays filtered. The workload would stay filtered even without the filter on top.
#pragma once

#include <linux/filter.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "bundle/config.h"
#include "dispatcher/backend.h"
#include "dispatcher/policy.h"
#include "dispatcher/seccomp_oci.h"
#include "seccomp/program.h"

namespace bailey::native {

struct SeccompPlan {
  bool filters_init = true;  // there is a base
  dispatcher::FilterAbout about;
  std::vector<sock_filter> base;                         // made here; empty: `compiled_base`
  const sock_fprog* compiled_base = nullptr;             // made when Bailey was built
  std::vector<sock_filter> on_top;                       // empty: none
  unsigned on_top_flags = 0;                             // SECCOMP_FILTER_FLAG_*
  std::shared_ptr<const seccomp::FilterRules> verdicts;  // of what holds for the workload; only when calls are reported
  dispatcher::SeccompLog log = dispatcher::SeccompLog::off;
  std::vector<std::string> unknown_calls;  // of the caller's profile: names that this machine does not have

  sock_fprog base_program() const;
};

// Errors: those of read_oci_seccomp; Fault::bad_input for a profile that does not let a program start or end (execve,
// exit_group), and for one that is too long.
Result<SeccompPlan> compile_seccomp_plan(const std::optional<bundle::Seccomp>& profile, dispatcher::SeccompRule rule,
                                         dispatcher::SeccompLog log);
// Of an engine's configuration: the workload has its filter and no other; PID 1 has none until then.
SeccompPlan engine_seccomp_plan(dispatcher::EngineFilter filter);
json::Object to_json(const SeccompPlan& plan);

// The built-in profile and the floor as rules of this machine's architecture.
Result<seccomp::FilterRules> builtin_rules();
Result<seccomp::FilterRules> floor_rules();

}  // namespace bailey::native
