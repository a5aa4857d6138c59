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
  for (const BackendSetting& setting : kRequestSettings) {
    const std::string asked(setting_of(request.backend_settings, setting.name));
    const std::string bound(setting_of(policy.backend_settings, setting.name)), flag(setting.flag);
    if (asked.empty()) continue;
    if (setting.backend != *backend)
      return {kName, false,
              flag + " " + asked + " is a setting of " + to_text(setting.backend) + ", and the backend is " + to_text(*backend),
              std::string("--runtime ") + to_text(setting.backend) + ", or leave " + flag + " out"};
    if (!bound.empty() && asked != bound)
      return {kName, false, flag + " " + asked + " is not " + bound + ", which the policy (" + policy.source + ") wants",
              "leave " + flag + " out"};
  }
  if (*backend == BackendKind::native && level.untrusted) return native_for_untrusted(request, policy, level);
  const char* how = request.runtime ? "asked for, and listed by level '" : "the first runtime of level '";
  return {kName, true, std::string(to_text(*backend)) + ": " + how + level.name + "'", {}};
}

}  // namespace bailey::dispatcher
