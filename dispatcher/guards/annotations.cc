// Rule: annotations are commands to runsc (dev.gvisor.* changes its flags and mounts, CRI keys join sandboxes), so a request
// for gVisor, and any request of an untrusted level, carries none but ours: dev.bailey.*. Those of an engine's configuration
// are the engine's notes to itself: they may stay, and no backend passes them on (gvisor/plan.cc writes ours alone).
#include "dispatcher/guards.h"

namespace bailey::dispatcher {

Verdict guard_annotations(const Request& request, const Policy& policy, const HostFacts&) {
  constexpr const char* kName = "annotations";
  const Result<BackendKind> backend = choose_backend(request, policy);
  const bool inert = request.shape == Shape::complete ||
                     (backend && *backend == BackendKind::native && !judged_level(request, policy).untrusted);
  std::string foreign;
  for (const auto& [key, unused] : request.config.annotations)
    if (!inert && !key.starts_with("dev.bailey.")) foreign.append(foreign.empty() ? "" : ", ").append(key);
  if (foreign.empty())
    return {kName, true, request.config.annotations.empty() ? "none" : inert ? "nobody reads them" : "ours only", {}};
  return {kName, false, "annotations that are not ours: " + foreign, "take them out; only dev.bailey.* may stay"};
}

}  // namespace bailey::dispatcher
