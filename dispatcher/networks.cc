#include "dispatcher/networks.h"

#include <algorithm>

#include "dispatcher/guards.h"
#include "dispatcher/names.h"

namespace bailey::dispatcher {

namespace {

constexpr std::string_view kEveryName = "*";
constexpr size_t kLongestName = 32;

std::string quoted(std::string_view word) { return "'" + std::string(word) + "'"; }

std::string known_words() {
  std::string known;
  for (const auto& [name, unused] : kNetworkNames) known.append(name).append(", ");
  return known + "bridge:NAME";
}

}  // namespace

bool is_network_name(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= kLongestName && plain(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
}

Result<NetworkWord> parse_network(std::string_view word, bool in_list) {
  const size_t colon = word.find(':');
  const auto found = std::ranges::find(kNetworkNames, word.substr(0, colon), &std::pair<std::string_view, NetworkMode>::first);
  if (found == std::end(kNetworkNames))
    return fail(Fault::bad_input, quoted(word) + " is not known", "known are: " + known_words());
  NetworkWord result{found->second, {}};
  if (colon == word.npos) return result;
  result.shared = word.substr(colon + 1);
  if (result.mode == NetworkMode::userspace)
    return fail(Fault::bad_input, quoted(word) + ": a userspace network is shared with nobody, each sandbox has its own",
                "bridge:" + result.shared + " (as root), or userspace without a name");
  if (result.mode != NetworkMode::bridge)
    return fail(Fault::bad_input, quoted(word) + ": only the bridge is shared by a name", "known are: " + known_words());
  if (!is_network_name(result.shared) && !(in_list && result.shared == kEveryName))
    return fail(Fault::bad_input, quoted(result.shared) + " is no name of a shared network",
                "up to 32 lower-case letters, digits, '.', '_' and '-', a letter or digit first" +
                    std::string(in_list ? "; bridge:* for all of them" : ""));
  return result;
}

const char* to_text(NetworkMode mode) { return name_of(mode, kNetworkNames); }

std::string to_text(NetworkMode mode, const std::string& shared) {
  return to_text(mode) + (shared.empty() ? "" : ":" + shared);
}

std::string network_of(const Request& request) { return to_text(request.network, request.shared_network); }

bool lists_shared(const Level& level, const std::string& name) {
  return std::ranges::any_of(level.shared_networks, [&](const std::string& one) { return one == kEveryName || one == name; });
}

std::vector<std::string> network_words(const Level& level) {
  std::vector<std::string> words;
  for (const NetworkMode mode : level.networks) words.push_back(to_text(mode));
  for (const std::string& name : level.shared_networks) words.push_back(to_text(NetworkMode::bridge, name));
  return words;
}

void decode_networks(json::ObjectView& view, Level& level) {
  constexpr const char* kKey = "networks";
  std::vector<std::string> words;
  if (!view.get(kKey, words)) return;
  level.networks.clear();
  level.shared_networks.clear();
  for (size_t i = 0; i < words.size(); ++i) {
    auto word = parse_network(words[i], true);
    if (!word) {
      view.fault(kKey, word.error().message + "; " + word.error().remedy);
    } else if (std::find(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(i), words[i]) !=
               words.begin() + static_cast<std::ptrdiff_t>(i)) {
      view.fault(kKey, quoted(words[i]) + " is listed twice");
    } else if (word->shared.empty()) {
      level.networks.push_back(word->mode);
    } else {
      level.shared_networks.push_back(std::move(word->shared));
    }
  }
}

}  // namespace bailey::dispatcher
