// Rule: the level is one of the policy's, and the backend is one that it lists. Code of an untrusted level runs natively only
// with both unsafe_native_for_untrusted in the policy and --unsafe-native on the command line; no listing replaces them.
// Nothing is asked of a backend that is not used, and where the policy names a runsc no other one is.
#include "dispatcher/guards.h"

namespace bailey::dispatcher {

namespace {

constexpr const char* kName = "trust";

Verdict native_for_untrusted(const Request& request, const Policy& policy, const Level& level) {
  const bool policy_agrees = policy.unsafe_native_for_untrusted;
  const bool caller_agrees = request.unsafe_opt_ins.native_for_untrusted;
  const std::string what = "native for the untrusted level '" + level.name + "'";
  if (policy_agrees && caller_agrees)
    return {kName, true, "UNSAFE: " + what + ", as the policy (" + policy.source + ") and --unsafe-native agree", {}};
  std::string missing;
  if (!policy_agrees) missing = "\"unsafe_native_for_untrusted\": true in the policy (" + policy.source + ")";
  if (!caller_agrees) missing.append(missing.empty() ? "" : " and ").append("--unsafe-native");
  return {
      kName, false, "'" + level.name + "' may not use native: the kernel's own interface is no boundary for untrusted code",
      "--runtime gvisor; or a level for code that you trust (--trust trusted); or, knowing that a kernel bug is then enough to "
      "escape, " +
          missing};
}

}  // namespace

Verdict guard_trust(const Request& request, const Policy& policy, const HostFacts&) {
  const Result<BackendKind> backend = choose_backend(request, policy);
  if (!backend) return {kName, false, backend.error().message, backend.error().remedy};
  const Level& level = judged_level(request, policy);
  if (*backend == BackendKind::native && !(request.platform.empty() && request.runsc.empty()))
    return {kName, false, "a gVisor platform or runsc was asked for, and the backend is native",
            "--runtime gvisor, or leave --platform and --runsc out"};
  if (!policy.runsc.empty() && !request.runsc.empty() && request.runsc != policy.runsc)
    return {kName, false,
            "--runsc " + request.runsc + " is not " + policy.runsc + ", which the policy (" + policy.source + ") wants",
            "leave --runsc out"};
  if (*backend == BackendKind::native && level.untrusted) return native_for_untrusted(request, policy, level);
  const char* how =
      request.runtime == RuntimeChoice::automatic ? "the first runtime of level '" : "asked for, and listed by level '";
  return {kName, true, std::string(to_text(*backend)) + ": " + how + level.name + "'", {}};
}

}  // namespace bailey::dispatcher
