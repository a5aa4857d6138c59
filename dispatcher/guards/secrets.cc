// Rule: only a level that may have secrets gets any. Each has a name of its own and a place of its own that covers nothing,
// lies in no volume (a mount point there would be left on the host) and is a file that only its owner and group may read.
#include <set>

#include "base/units.h"
#include "dispatcher/guards/findings.h"
#include "dispatcher/guards/paths.h"

namespace bailey::dispatcher {

namespace {

void judge_one(const secrets::Request& secret, const Request& request, const std::vector<secrets::Request>& all,
               Findings& findings) {
  const std::string what = "secret '" + secret.name + "': ";
  if (auto name = units::check_name("secret", secret.name); !name) findings.add(name.error().message, name.error().remedy);
  if (secret.file.empty() == (secret.fd < 0))
    findings.add(what + "needs one source, a file or a descriptor", "NAME=FILE or NAME=fd:N");
  if (secret.fd >= 0 && secret.fd <= 2)
    findings.add(what + "descriptor " + std::to_string(secret.fd) + " is the workload's own", "a descriptor above 2");
  if (secret.mode & ~mode_t{0777})
    findings.add(what + "its mode has set-id or sticky bits", "permission bits only, such as 0400");
  if (secret.mode & 0033) findings.add(what + "its mode lets others write or execute it", "0400 or 0440 or 0444");
  if (secret.uid && *secret.uid == UINT32_MAX)
    findings.add(what + "uid " + std::to_string(*secret.uid) + " is no user", "a smaller uid");
  if (secret.destination.empty()) return;
  if (const std::string why = forbidden_destination(secret.destination, DestinationOf::secret); !why.empty())
    findings.add(what + why, "leave the path out for " + std::string(secrets::kDirectory) + "/" + secret.name);
  for (const bundle::Mount& mount : request.config.mounts)
    if (is_at_or_below(secret.destination, mount.destination) || is_at_or_below(mount.destination, secret.destination))
      findings.add(what + secret.destination + " and the volume " + mount.destination + " cover each other",
                   "a place outside of the volumes");
  for (const secrets::Request& other : all)
    if (!other.destination.empty() && other.destination != secret.destination &&
        is_at_or_below(secret.destination, other.destination))
      findings.add(
          what + secret.destination + " lies below " + other.destination + ", which is the file of secret '" + other.name + "'",
          "another path");
}

}  // namespace

Verdict guard_secrets(const Request& request, const Policy& policy, const HostFacts& facts) {
  const Level& level = judged_level(request, policy);
  const std::vector<secrets::Request> all = all_secrets(request, facts);
  Findings findings;
  if ((!all.empty() || !request.secret_directories.empty()) && !level.secrets)
    findings.add("level '" + level.name + "' may not have secrets",
                 "a level that may, or \"secrets\": true in the policy (" + policy.source + ")");
  std::set<std::string> names, places;
  for (const secrets::Request& secret : all) {
    judge_one(secret, request, all, findings);
    if (!names.insert(secret.name).second) findings.add("secret '" + secret.name + "' is given twice", "another name");
    const std::string place =
        secret.destination.empty() ? std::string(secrets::kDirectory) + "/" + secret.name : secret.destination;
    if (!places.insert(place).second) findings.add("two secrets at " + place, "another path");
  }
  return findings.verdict("secrets", all.empty() ? "none" : "secrets: " + std::to_string(all.size()));
}

}  // namespace bailey::dispatcher
