// Egress grants <-> JSON: a list of the words of network/filter/egress.h. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"
#include "network/filter/egress.h"

namespace bailey::dispatcher {

// Faults go to the view's decoder, one for each word that is wrong. Whether the member was there.
bool decode_grants(json::ObjectView& view, std::string_view key, std::vector<network::Grant>& out);
json::Value encode_grants(const std::vector<network::Grant>& grants);

}  // namespace bailey::dispatcher
