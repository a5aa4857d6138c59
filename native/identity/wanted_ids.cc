#include "native/identity/wanted_ids.h"

#include <string_view>

#include "base/units.h"

namespace bailey::native {

namespace {

// "uid=7" or "gid=7".
void add_owner(const std::string& option, const std::string& place, std::optional<uint32_t> only, std::vector<uint32_t>& ids,
               std::vector<std::string>& faults) {
  const auto id = units::parse_unsigned(std::string_view(option).substr(sizeof "uid=" - 1));
  const std::string what = option + " of the mount at " + place;
  if (!id || *id >= UINT32_MAX) return faults.push_back(what);
  if (only && *id != *only)
    return faults.push_back(what + " (this user has one id to give, and it is " + std::to_string(*only) + ")");
  ids.push_back(static_cast<uint32_t>(*id));
}

}  // namespace

WantedIds find_wanted_ids(const dispatcher::Spec& spec, bool many_ids, std::vector<std::string>& faults) {
  const bundle::User& user = spec.process().user;
  WantedIds ids{{user.uid}, {user.gid}};
  ids.gids.insert(ids.gids.end(), user.additional_gids.begin(), user.additional_gids.end());
  for (const secrets::Request& secret : spec.secrets())
    if (secret.uid) ids.uids.push_back(*secret.uid);
  const auto only = [&](uint32_t own) { return many_ids ? std::nullopt : std::optional(own); };
  for (const bundle::Mount& mount : spec.config().mounts)
    for (const std::string& option : mount.options) {
      if (option.starts_with("uid=")) add_owner(option, mount.destination, only(user.uid), ids.uids, faults);
      if (option.starts_with("gid=")) add_owner(option, mount.destination, only(user.gid), ids.gids, faults);
    }
  for (const auto* list : {&ids.uids, &ids.gids})
    if (IdMap::far_ids(*list).size() > IdMap::kMostFar)
      faults.push_back("more than " + std::to_string(IdMap::kMostFar) + " different ids above 65535");
  return ids;
}

}  // namespace bailey::native
