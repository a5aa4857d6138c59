// Rule: every limit that is asked for lies between what anything needs and the level's ceiling. Above is refused, never
// clamped: a caller who believes in 8 GiB must not be killed at 4. Nothing sets a limit behind the table's back.
#include "dispatcher/limits.h"
#include "dispatcher/guards/findings.h"

namespace bailey::dispatcher {

namespace {

void judge_one(const Limit& limit, const Request& request, const Policy& policy, Findings& findings) {
  const std::optional<uint64_t> asked = limit.asked(request);
  if (!asked) return;
  const std::string what = std::string(limit.name) + " " + format_limit(limit, *asked);
  const std::string flag(limit.flag);
  if (*asked < limit.least) {
    const std::string least = format_limit(limit, limit.least);
    return findings.add(what + " is below " + least + ", less than anything needs", flag + " " + least + " or more");
  }
  const Level& level = judged_level(request, policy);
  const std::optional<uint64_t> ceiling = limit.get(level.ceilings);
  if (!ceiling || *asked <= *ceiling) return;
  const std::string most = format_limit(limit, *ceiling);
  findings.add(what + " is above " + most + ", the ceiling of level '" + level.name + "'",
               flag + " " + most + " or less, or a higher ceiling in the policy (" + policy.source + ")");
}

void judge_swap(const Request& request, const Level& level, Findings& findings) {
  const auto& memory = request.config.linux.resources.memory;
  if (memory.swap && request.limits.swap_bytes)
    findings.add("swap is given twice, as a limit of its own and in linux.resources.memory.swap", "leave one of them out");
  if (memory.swap && *memory.swap >= 0 && (!memory.limit || *memory.limit < 0 || *memory.swap < *memory.limit))
    findings.add("linux.resources.memory.swap is memory and swap together, and is not above a memory.limit",
                 "give memory.limit, and a swap that is not below it");
  if (memory.swap && *memory.swap < 0 && !memory.limit)
    findings.add("unlimited swap without a memory.limit", "give linux.resources.memory.limit");
  const std::optional<uint64_t>& swap = request.limits.swap_bytes;
  if (swap && *swap != kUnlimited && !resolve_limits(request, level).memory_bytes)
    findings.add("swap " + format_limit(*find_limit("swap"), *swap) + " is beyond the memory limit, and memory is unlimited",
                 "give --memory a size, or leave --swap out");
}

// What would reach past the table: raw cgroup files, rlimits that contradict themselves, real time.
void judge_side_doors(const Request& request, const Level& level, Findings& findings) {
  const bundle::Resources& resources = request.config.linux.resources;
  for (const auto& [file, unused] : resources.unified)
    if (level.untrusted || file == "memory.max" || file == "memory.swap.max" || file == "pids.max" || file == "cpu.max")
      findings.add("linux.resources.unified sets " + file + " past the level's ceilings", "use the limit's own field");
  if (resources.memory.disable_oom_killer.value_or(false) && (request.shape == Shape::run || level.untrusted))
    findings.add("memory.disableOOMKiller lets a full sandbox hang for ever", "leave it out");
  if (level.untrusted && (resources.cpu.realtime_runtime.value_or(0) || resources.cpu.realtime_period.value_or(0)))
    findings.add("real-time CPU for an untrusted level", "leave linux.resources.cpu.realtime* out");
  if (!request.config.process) return;
  std::string seen;
  for (const bundle::Rlimit& rlimit : request.config.process->rlimits) {
    if (rlimit.soft > rlimit.hard)
      findings.add("process.rlimits: " + rlimit.type + " has a soft limit above the hard one", "lower the soft one");
    if (seen.find(" " + rlimit.type + " ") != std::string::npos)
      findings.add("process.rlimits: " + rlimit.type + " is given twice", "leave one of them out");
    seen += " " + rlimit.type + " ";
    if (rlimit.type == "RLIMIT_CORE" && rlimit.hard > 0 && level.untrusted)
      findings.add("RLIMIT_CORE above 0: the host's core handler would read what untrusted code wrote", "leave it out");
  }
}

std::string in_force(const LimitValues& values) {
  std::string text;
  for (const Limit& limit : limits())
    text.append(text.empty() ? "" : ", ")
        .append(limit.name)
        .append(" ")
        .append(format_limit(limit, limit.get(values).value_or(kUnlimited)));
  return text;
}

}  // namespace

Verdict guard_limits(const Request& request, const Policy& policy, const HostFacts&) {
  const Level& level = judged_level(request, policy);
  Findings findings;
  const bool engines = request.shape == Shape::complete;
  for (const Limit& limit : limits())
    if (!engines || limit.for_engines) judge_one(limit, request, policy, findings);
  judge_swap(request, level, findings);
  judge_side_doors(request, level, findings);
  const LimitValues values = resolve_limits(request, level);
  return findings.verdict("limits", in_force(values));
}

}  // namespace bailey::dispatcher
