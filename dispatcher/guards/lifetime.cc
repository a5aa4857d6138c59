// Rule: a sandbox that outlives the process that made it has nothing for which that process is needed: no network whose
// resolver and filter are its children, no limit of time or output that nobody would watch, no terminal, no log of its system
// calls.
#include "dispatcher/guards/findings.h"
#include "dispatcher/limits.h"
#include "dispatcher/networks.h"

namespace bailey::dispatcher {

Verdict guard_lifetime(const Request& request, const Policy& policy, const HostFacts&) {
  if (request.lifetime == Lifetime::tied) return {"lifetime", true, "ends with its owner", {}};
  Findings findings;
  if (is_filtered(request.network))
    findings.add(std::string("the network '") + to_text(request.network) + "' of a sandbox that has no owner",
                 "--net none, or a sandbox that ends with its owner");
  if (resolve_limits(request, judged_level(request, policy)).wall_ms)
    findings.add("a time limit of a sandbox that has no owner", "--timeout unlimited, where the level allows it");
  if (resolve_limits(request, judged_level(request, policy)).output_bytes)
    findings.add("an output limit of a sandbox that has no owner", "--output-limit unlimited, where the level allows it");
  if (request.seccomp_log != SeccompLog::off)
    findings.add("a log of system calls of a sandbox that has no owner", "leave --seccomp-log out");
  // An engine takes the terminal itself.
  if (request.config.process && request.config.process->terminal && request.shape == Shape::run)
    findings.add("a terminal of a sandbox that has no owner", "leave --tty out");
  return findings.verdict("lifetime", "goes on without its owner");
}

}  // namespace bailey::dispatcher
