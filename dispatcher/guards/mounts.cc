// Rule: a volume is a plain directory or file of the host that is nobody's secret and nobody's power: judged by the opened
// descriptor (what the kernel calls it, what type it has), never by the string, and its parents count as what they contain
// (docs/policy.md lists the places). Inside it covers nothing that the sandbox is made of. The level says whether there may be
// volumes, whether they may be written, and below which directories they and a --rootfs must lie.
#include <algorithm>
#include <array>

#include "dispatcher/guards/findings.h"
#include "dispatcher/guards/paths.h"

namespace bailey::dispatcher {

namespace {

constexpr std::array<std::string_view, 17> kBindOptions = {"bind",     "rbind",      "ro",      "rro",         "rw",     "nosuid",
                                                           "nodev",    "noexec",     "exec",    "private",     "rprivate", "noatime",
                                                           "relatime", "nodiratime", "atime",   "strictatime", "norelatime"};
// Sizes come from the level (limits tmpfs and tmpfs_inodes), not from options.
constexpr std::array<std::string_view, 6> kTmpfsOptions = {"ro", "rw", "nosuid", "nodev", "noexec", "exec"};
constexpr std::array<std::string_view, 3> kTmpfsValues = {"mode=", "uid=", "gid="};

bool has(const bundle::Mount& mount, std::string_view option) {
  return std::ranges::find(mount.options, option) != mount.options.end();
}

std::string quoted(std::string_view source, std::string_view destination) {
  return "volume " + std::string(source) + ":" + std::string(destination) + ": ";
}

bool below_one_of(std::string_view path, const std::vector<std::string>& roots) {
  return roots.empty() || std::ranges::any_of(roots, [&](const std::string& root) { return is_at_or_below(path, root); });
}

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text.append(text.empty() ? "" : ", ").append(item);
  return text;
}

void judge_options(const bundle::Mount& mount, const std::string& name, Findings& findings) {
  const bool bind = is_bind(mount);
  for (const std::string& option : mount.options) {
    const bool plain = bind ? std::ranges::find(kBindOptions, option) != kBindOptions.end()
                            : std::ranges::find(kTmpfsOptions, option) != kTmpfsOptions.end();
    const bool valued = !bind && std::ranges::any_of(kTmpfsValues, [&](auto prefix) { return option.starts_with(prefix); });
    if (!plain && !valued) findings.add(name + "option '" + option + "' is not for volumes", "leave it out");
  }
  if (has(mount, "rw") && (has(mount, "ro") || has(mount, "rro")))
    findings.add(name + "both ro and rw", "leave one of them out");
}

void judge_source(const bundle::Mount& mount, const OpenedSource& source, const Policy& policy, const Level& level,
                  const HostFacts& facts, const std::string& name, Findings& findings) {
  if (!source.fd) return findings.add(name + "its source was not opened", "give a source that exists");
  if (const std::string why = forbidden_source(source, facts); !why.empty()) {
    const std::string link = source.given == source.real_path ? "" : source.given + " leads to " + source.real_path + ": ";
    return findings.add(name + link + why, "share a directory that holds only what the command needs");
  }
  if (!below_one_of(source.real_path, level.volume_roots))
    findings.add(name + source.real_path + " is not below " + joined(level.volume_roots) + ", as level '" + level.name + "' wants",
                 "a source there, or another volume_roots in the policy (" + policy.source + ")");
  const bool writable = !has(mount, "ro") && !has(mount, "rro");
  if (!writable) return;
  if (level.volumes == VolumeRule::read_only)
    findings.add(name + "level '" + level.name + "' has read-only volumes", ":ro, or another level");
  if (const std::string why = forbidden_to_write(source); !why.empty()) findings.add(name + why, ":ro");
}

void judge_volume(size_t index, const Request& request, const Policy& policy, const Level& level, const HostFacts& facts,
                  Findings& findings) {
  static const OpenedSource nothing_opened;
  const bundle::Mount& mount = request.config.mounts[index];
  const std::string name = quoted(mount.source, mount.destination);
  if (const std::string why = forbidden_destination(mount.destination, DestinationOf::volume); !why.empty())
    findings.add(name + why, "another place inside, such as /work or /data");
  for (size_t earlier = 0; earlier < index; ++earlier)
    if (request.config.mounts[earlier].destination == mount.destination)
      findings.add(name + "a second volume at the same place", "another place inside");
  if (!is_bind(mount) && mount.type != "tmpfs")
    return findings.add(name + "type '" + mount.type + "' is not for volumes", "type bind or tmpfs; the rest is there already");
  if (!mount.uid_mappings.empty() || !mount.gid_mappings.empty())
    findings.add(name + "id-mapped mounts are not there yet", "leave uidMappings and gidMappings out");
  judge_options(mount, name, findings);
  if (!is_bind(mount)) return;
  if (level.volumes == VolumeRule::none)
    return findings.add(name + "level '" + level.name + "' has no volumes",
                        "leave it out, or \"volumes\": \"read_only\" in the policy (" + policy.source + ")");
  const bool gathered = index < facts.volumes.size();
  judge_source(mount, gathered ? facts.volumes[index] : nothing_opened, policy, level, facts, name, findings);
}

void judge_rootfs(const Request& request, const Policy& policy, const Level& level, const HostFacts& facts, Findings& findings) {
  if (!request.config.root) return;
  const std::string name = "rootfs " + request.config.root->path + ": ";
  if (!facts.rootfs.fd) return findings.add(name + "it was not opened", "give a directory that exists");
  if (const std::string why = forbidden_rootfs(facts.rootfs, facts); !why.empty())
    return findings.add(name + why, "unpack a root file system into a directory of its own, or leave --rootfs out for the host's /usr");
  if (!below_one_of(facts.rootfs.real_path, level.volume_roots))
    findings.add(name + facts.rootfs.real_path + " is not below " + joined(level.volume_roots) + ", as level '" + level.name + "' wants",
                 "a root file system there, or another volume_roots in the policy (" + policy.source + ")");
}

}  // namespace

Verdict guard_mounts(const Request& request, const Policy& policy, const HostFacts& facts) {
  const Level& level = judged_level(request, policy);
  Findings findings;
  judge_rootfs(request, policy, level, facts, findings);
  for (size_t i = 0; i < request.config.mounts.size(); ++i) judge_volume(i, request, policy, level, facts, findings);
  const std::string root = request.config.root ? "root " + facts.rootfs.real_path : "the host's /usr as root";
  return findings.verdict("mounts", root + "; volumes: " + std::to_string(request.config.mounts.size()));
}

}  // namespace bailey::dispatcher
