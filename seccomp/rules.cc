#include "seccomp/rules.h"

#include <algorithm>
#include <set>

namespace bailey::seccomp {
namespace {

uint32_t kind_of(uint32_t action) { return action & SECCOMP_RET_ACTION_FULL; }

// The kernel compares actions as signed numbers; the lowest is the strictest. Equally strict: the newer filter's (seccomp(2)).
uint32_t stricter_action(uint32_t older, uint32_t newer) {
  return static_cast<int32_t>(kind_of(older)) < static_cast<int32_t>(kind_of(newer)) ? older : newer;
}

bool holds(const Condition& c, const seccomp_data& call) {
  const uint64_t argument = call.args[c.index] & c.mask;
  switch (c.comparison) {
    case Comparison::equal: return argument == c.value;
    case Comparison::not_equal: return argument != c.value;
    case Comparison::less: return argument < c.value;
    case Comparison::less_or_equal: return argument <= c.value;
    case Comparison::greater: return argument > c.value;
    case Comparison::greater_or_equal: return argument >= c.value;
  }
  return false;
}

const ArchRules* find_arch(const FilterRules& rules, uint32_t audit_arch) {
  for (const ArchRules& arch : rules.arches)
    if (arch.audit_arch() == audit_arch) return &arch;
  return nullptr;
}

CallRule rule_of(const FilterRules& rules, uint32_t audit_arch, uint32_t number) {
  const ArchRules* arch = find_arch(rules, audit_arch);
  return arch ? arch->at(number) : CallRule{{}, rules.wrong_arch_action};
}

// Branches of both, pairwise: in this order the first pair that holds is the first of each that holds.
CallRule join(const CallRule& older, const CallRule& newer) {
  CallRule out{{}, stricter_action(older.otherwise, newer.otherwise)};
  const auto with = [](std::vector<Branch> branches, uint32_t otherwise) {
    branches.push_back({{}, otherwise});
    return branches;
  };
  for (const Branch& a : with(older.branches, older.otherwise))
    for (const Branch& b : with(newer.branches, newer.otherwise)) {
      Branch both{a.all_of, stricter_action(a.action, b.action)};
      both.all_of.insert(both.all_of.end(), b.all_of.begin(), b.all_of.end());
      if (!both.all_of.empty()) out.branches.push_back(std::move(both));
    }
  // Branches at the end that say what holds without them only cost time.
  while (!out.branches.empty() && out.branches.back().action == out.otherwise) out.branches.pop_back();
  return out;
}

std::vector<uint32_t> actions_of(const CallRule& rule) {
  std::vector<uint32_t> out{rule.otherwise};
  for (const Branch& branch : rule.branches) out.push_back(branch.action);
  return out;
}

}  // namespace

bool permits(uint32_t action) { return kind_of(action) == SECCOMP_RET_ALLOW || kind_of(action) == SECCOMP_RET_LOG; }

uint32_t verdict_of(const FilterRules& rules, const seccomp_data& call) {
  const ArchRules* arch = find_arch(rules, call.arch);
  if (!arch) return rules.wrong_arch_action;
  const CallRule& rule = arch->at(static_cast<uint32_t>(call.nr));
  for (const Branch& branch : rule.branches)
    if (std::ranges::all_of(branch.all_of, [&](const Condition& c) { return holds(c, call); })) return branch.action;
  return rule.otherwise;
}

FilterRules strictest(const FilterRules& older, const FilterRules& newer) {
  FilterRules out{{}, stricter_action(older.wrong_arch_action, newer.wrong_arch_action)};
  std::set<uint32_t> arches;
  for (const FilterRules* rules : {&older, &newer})
    for (const ArchRules& arch : rules->arches)
      if (arches.insert(arch.audit_arch()).second) out.arches.emplace_back(arch.audit_arch(), CallRule{});
  for (ArchRules& arch : out.arches) {
    std::set<uint32_t> starts{0};
    for (const FilterRules* rules : {&older, &newer})
      if (const ArchRules* one = find_arch(*rules, arch.audit_arch()))
        for (const auto& [first, unused] : one->intervals()) starts.insert(first);
    for (auto start = starts.begin(); start != starts.end(); ++start) {
      const uint32_t last = std::next(start) == starts.end() ? UINT32_MAX : *std::next(start) - 1;
      arch.assign(*start, last, join(rule_of(older, arch.audit_arch(), *start), rule_of(newer, arch.audit_arch(), *start)));
    }
  }
  return out;
}

bool always_permits(const FilterRules& rules, uint32_t audit_arch, uint32_t number) {
  return std::ranges::all_of(actions_of(rule_of(rules, audit_arch, number)), permits);
}

bool never_permits(const FilterRules& rules, uint32_t audit_arch, uint32_t number) {
  return std::ranges::none_of(actions_of(rule_of(rules, audit_arch, number)), permits);
}

FilterRules map_actions(const FilterRules& rules, const std::function<uint32_t(uint32_t)>& other) {
  FilterRules out{{}, other(rules.wrong_arch_action)};
  for (const ArchRules& arch : rules.arches) {
    ArchRules& mapped = out.arches.emplace_back(arch.audit_arch(), CallRule{});
    for (const auto& [first, rule] : arch.intervals()) {
      CallRule changed{rule.branches, other(rule.otherwise)};
      for (Branch& branch : changed.branches) branch.action = other(branch.action);
      mapped.assign(first, UINT32_MAX, changed);  // the next interval takes the rest
    }
  }
  return out;
}

}  // namespace bailey::seccomp
