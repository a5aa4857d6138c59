// What can be done with rules before they become a program: ask them for a verdict, join two sets, exchange an action. Pure.
#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <functional>

#include "seccomp/program.h"

namespace bailey::seccomp {

// What the program of these rules returns for this call (seccomp(2)): an action with its data.
uint32_t verdict_of(const FilterRules& rules, const seccomp_data& call);

// One set of rules that returns what the kernel returns when both are installed, `older` first: the stricter action of the two,
// and of two that are equally strict the newer one's data.
FilterRules strictest(const FilterRules& older, const FilterRules& newer);

// Whether a call gets through: SECCOMP_RET_ALLOW or _LOG. (_TRACE is refused where nobody traces.)
bool permits(uint32_t action);
// Whether every call of that number gets through, whatever its arguments.
bool always_permits(const FilterRules& rules, uint32_t audit_arch, uint32_t number);
// Whether no call of that number gets through.
bool never_permits(const FilterRules& rules, uint32_t audit_arch, uint32_t number);

// The same rules with another action for each.
FilterRules map_actions(const FilterRules& rules, const std::function<uint32_t(uint32_t)>& other);

}  // namespace bailey::seccomp
