// The words of networks, in requests (`--net`) and in a level's list: none, host, bridge, userspace, and bridge:NAME, a bridge
// that all who say that name share; in a list also bridge:*, which is every name. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "dispatcher/policy.h"

namespace bailey::dispatcher {

struct NetworkWord {
  NetworkMode mode = NetworkMode::none;
  std::string shared;  // the name; "*": every name; empty: shared with nobody
};

// The error says what is wrong, and its remedy how it is written. "*" only in a list.
Result<NetworkWord> parse_network(std::string_view word, bool in_list);
const char* to_text(NetworkMode mode);
std::string to_text(NetworkMode mode, const std::string& shared);
std::string network_of(const Request& request);

// A letter or digit, then letters, digits, '.', '_' and '-': lower case, 32 at most.
bool is_network_name(std::string_view name);
// Does the level's list have that shared network?
bool lists_shared(const Level& level, const std::string& name);

// A level's list of networks as words.
std::vector<std::string> network_words(const Level& level);
// Reads "networks".
void decode_networks(json::ObjectView& view, Level& level);

}  // namespace bailey::dispatcher
