// What frames pass between a sandbox's port and the bridge: the table of the family bridge, as network/filter/firewall.h tells.
// Pure.
#pragma once

#include <span>
#include <vector>

#include "network/filter/firewall_rules.h"

namespace bailey::network {

// Adds the messages that make the table and its rules.
void add_frame_rules(const FirewallSpec& spec, std::span<const rules::Side> sides, std::vector<Message>& batch);

}  // namespace bailey::network
