// Shared by the guards: their list, the level they judge by, the backend that follows from it.
#include "dispatcher/guards.h"

#include <algorithm>
#include <array>

namespace bailey::dispatcher {

namespace {

constexpr std::array kGuards = {
    NamedGuard{"command", guard_command},       NamedGuard{"trust", guard_trust},
    NamedGuard{"network", guard_network},       NamedGuard{"mounts", guard_mounts},
    NamedGuard{"limits", guard_limits},         NamedGuard{"secrets", guard_secrets},
    NamedGuard{"privileges", guard_privileges}, NamedGuard{"annotations", guard_annotations},
    NamedGuard{"lifetime", guard_lifetime},
};

}  // namespace

std::span<const NamedGuard> guards() { return kGuards; }

const Level& judged_level(const Request& request, const Policy& policy) {
  static const Level nothing_allowed;  // a policy without `untrusted` is none of ours: it lists no runtime and no network
  if (const Level* level = find_level(policy, request.trust)) return *level;
  const Level* untrusted = find_level(policy, "untrusted");
  return untrusted ? *untrusted : nothing_allowed;
}

bool is_engines_mount(const Request& request, size_t index) {
  return request.shape == Shape::complete && std::ranges::find(request.engine_mounts, index) != request.engine_mounts.end();
}

std::vector<secrets::Request> all_secrets(const Request& request, const HostFacts& facts) {
  std::vector<secrets::Request> all = request.secrets;
  all.insert(all.end(), facts.secret_files.begin(), facts.secret_files.end());
  return all;
}

Result<BackendKind> choose_backend(const Request& request, const Policy& policy) {
  const Level* level = find_level(policy, request.trust);
  if (!level) {
    std::string known;
    for (const auto& [name, unused] : policy.levels) known.append(known.empty() ? "" : ", ").append(name);
    return fail(Fault::refused, "trust level '" + request.trust + "' is not known", "--trust with one of: " + known);
  }
  if (level->runtimes.empty()) return fail(Fault::refused, "level '" + level->name + "' lists no runtime");
  if (!request.runtime) return level->runtimes.front();
  const BackendKind asked = *request.runtime;
  // Native for untrusted code has a rule of its own (guard_trust), which needs no listing and which no listing satisfies.
  if (asked == BackendKind::native && level->untrusted) return asked;
  if (std::ranges::find(level->runtimes, asked) != level->runtimes.end()) return asked;
  std::string listed;
  for (const BackendKind kind : level->runtimes) listed.append(listed.empty() ? "" : ", ").append(to_text(kind));
  return fail(Fault::refused, "level '" + level->name + "' may not use " + to_text(asked) + ", only " + listed,
              "--runtime " + std::string(to_text(level->runtimes.front())) + ", or a level that lists " + to_text(asked) +
                  " in the policy (" + policy.source + ")");
}

std::span<const network::Grant> resolve_egress(const Request& request, const Level& level) {
  return request.egress ? *request.egress : level.egress;
}

}  // namespace bailey::dispatcher
