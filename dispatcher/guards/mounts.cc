// Rule: a volume is a plain directory or file of the host that is nobody's secret and nobody's power: judged by the opened
// descriptor (what the kernel calls it, what type it has), never by the string, and its parents count as what they contain
// (docs/policy.md lists the places). Inside it covers nothing that the sandbox is made of. The level says whether there may be
// volumes, whether they may be written, and below which directories they and a --rootfs must lie. Of an engine's configuration
// that holds for the binds of its user; the file systems that are there for every container, and the binds that the engine
// makes itself (its /etc/hosts, which lies where no user's volume may), are the engine's.
#include <sys/stat.h>

#include <algorithm>

#include "bundle/host_files.h"
#include "bundle/mount_options.h"
#include "dispatcher/guards/findings.h"
#include "dispatcher/guards/paths.h"

namespace bailey::dispatcher {

namespace {

bool has(const bundle::Mount& mount, std::string_view option) {
  return std::ranges::find(mount.options, option) != mount.options.end();
}

// One request's volumes and root, judged; what is wrong gathers in `findings`.
struct Judgement {
  const Request& request;
  const Policy& policy;
  const Level& level;
  const HostFacts& facts;
  Findings findings;

  void judge_rootfs();
  void judge_engines_mount(size_t index);
  void judge_volume(size_t index);

 private:
  void judge_options(const bundle::Mount& mount, const std::string& name);
  void judge_source(const bundle::Mount& mount, const OpenedSource& source, const std::string& name);
  void judge_roots(const OpenedSource& source, const std::string& name);
  std::string remedy_for_source(const OpenedSource& source) const;
};

void Judgement::judge_rootfs() {
  if (!request.config.root) return;
  const std::string name = "rootfs " + request.config.root->path + ": ";
  if (!facts.rootfs.fd) return findings.add(name + "it was not opened", "give a directory that exists");
  if (request.shape == Shape::complete) return;  // the engine's own, which lies among its data
  if (const std::string why = forbidden_rootfs(facts.rootfs, facts); !why.empty())
    return findings.add(name + why,
                        "unpack a root file system into a directory of its own, or leave --rootfs out for the host's /usr");
  judge_roots(facts.rootfs, name);
}

void Judgement::judge_engines_mount(size_t index) {
  const bundle::Mount& mount = request.config.mounts[index];
  if (is_bind(mount) && (index >= facts.volumes.size() || !facts.volumes[index].fd))
    findings.add("mount " + shown(mount.source) + ":" + shown(mount.destination) + ": its source was not opened",
                 "give a source that exists");
}

void Judgement::judge_volume(size_t index) {
  const bundle::Mount& mount = request.config.mounts[index];
  const std::string name = "volume " + shown(mount.source) + ":" + shown(mount.destination) + ": ";
  if (const std::string why = forbidden_destination(mount.destination, DestinationOf::volume); !why.empty())
    findings.add(name + why, "another place inside, such as /work or /data");
  for (size_t earlier = 0; earlier < index; ++earlier)
    if (request.config.mounts[earlier].destination == mount.destination)
      findings.add(name + "a second volume at the same place", "another place inside");
  for (size_t other = 0; other < request.config.mounts.size(); ++other) {
    const std::string& above = request.config.mounts[other].destination;
    const bool below = mount.destination != above && is_at_or_below(mount.destination, above);
    if (below && other < facts.volumes.size() && facts.volumes[other].fd && !facts.volumes[other].directory())
      findings.add(name + "the volume at " + above + " is a file, and nothing can lie below it", "another place inside");
  }
  if (!is_bind(mount) && mount.type != "tmpfs")
    return findings.add(name + "type '" + mount.type + "' is not for volumes", "type bind or tmpfs; the rest is there already");
  if (!mount.uid_mappings.empty() || !mount.gid_mappings.empty())
    findings.add(name + "id-mapped mounts are not there yet", "leave uidMappings and gidMappings out");
  judge_options(mount, name);
  if (!is_bind(mount)) return;
  if (index >= facts.volumes.size() || !facts.volumes[index].fd)
    return findings.add(name + "its source was not opened", "give a source that exists");
  judge_source(mount, facts.volumes[index], name);
}

void Judgement::judge_options(const bundle::Mount& mount, const std::string& name) {
  const bundle::MountKind kind = is_bind(mount) ? bundle::MountKind::bind : bundle::MountKind::tmpfs;
  for (const std::string& option : mount.options) {
    if (const auto refused = bundle::refused_option(kind, option)) {
      findings.add(name + "option '" + option + "' " + refused->why, refused->remedy);
      continue;
    }
    const bundle::MountOption* known = bundle::find_mount_option(option);
    if (known && facts.euid != 0 && bundle::requires_root(known->group))
      findings.add(name + "option '" + option + "' requires root: the kernel lets nobody else change how access times are kept",
                   "leave it out, or mount the source so on the host");
  }
  if (const std::string both = bundle::contradiction(mount.options); !both.empty())
    findings.add(name + "options " + both + " contradict each other", "leave one of them out");
}

void Judgement::judge_source(const bundle::Mount& mount, const OpenedSource& source, const std::string& name) {
  if (level.volumes == VolumeRule::none)
    return findings.add(name + "level '" + level.name + "' has no volumes",
                        "leave it out, or \"volumes\": \"read_only\" in the policy (" + policy.source + ")");
  if (const std::string why = forbidden_source(source, facts); !why.empty()) {
    const std::string link = source.given == source.real_path ? "" : source.given + " leads to " + source.real_path + ": ";
    return findings.add(name + link + why, remedy_for_source(source));
  }
  judge_roots(source, name);
  if (has(mount, "ro") || has(mount, "rro")) return;
  if (level.volumes == VolumeRule::read_only)
    findings.add(name + "level '" + level.name + "' has read-only volumes", ":ro, or another level");
  if (const std::string why = forbidden_to_write(source); !why.empty()) findings.add(name + why, ":ro");
  // What is written through a shared mapping keeps the bits (docs/policy.md). Only of a single file can it be known beforehand.
  if (S_ISREG(source.mode) && (source.mode & (S_ISUID | S_ISGID)))
    findings.add(name + source.real_path + " is set-user-id or set-group-id, and would stay so with other contents",
                 ":ro, or chmod ug-s first");
}

// Files of /etc come into the default root one by one, or by a policy. Not by a volume: its ids are mapped, so that the
// sandbox's root would read what on the host only root may read.
std::string Judgement::remedy_for_source(const OpenedSource& source) const {
  std::string usual = "share a directory that holds only what the command needs";
  if (!is_at_or_below(source.real_path, "/etc") || !(source.mode & S_IROTH)) return usual;
  if (!forbidden_addition(source.real_path).empty()) return usual;
  if (bundle::in_table(source.real_path) && !request.config.root)
    return "leave it out: the default root shows what everybody may read of " + source.real_path;
  return R"("default_root": {"add": [")" + source.real_path + R"("]} in the policy ()" + policy.source +
         "), which shows what everybody may read of it in every default root";
}

void Judgement::judge_roots(const OpenedSource& source, const std::string& name) {
  const auto holds = [&](const std::string& root) { return is_at_or_below(source.real_path, root); };
  if (level.volume_roots.empty() || std::ranges::any_of(level.volume_roots, holds)) return;
  std::string roots;
  for (const std::string& root : level.volume_roots) roots.append(roots.empty() ? "" : ", ").append(root);
  findings.add(name + source.real_path + " is not below " + roots + ", as level '" + level.name + "' wants",
               "a source there, or another volume_roots in the policy (" + policy.source + ")");
}

}  // namespace

Verdict guard_mounts(const Request& request, const Policy& policy, const HostFacts& facts) {
  Judgement judgement{request, policy, judged_level(request, policy), facts, {}};
  judgement.judge_rootfs();
  for (size_t i = 0; i < request.config.mounts.size(); ++i)
    if (is_engines_mount(request, i)) judgement.judge_engines_mount(i);
    else judgement.judge_volume(i);
  if (request.shape == Shape::complete && !request.config.root)
    judgement.findings.add("an engine's configuration without a root", "give root.path");
  const std::string root = request.config.root ? "root " + facts.rootfs.real_path : "the host's /usr as root";
  return judgement.findings.verdict("mounts", root + "; volumes: " + std::to_string(request.config.mounts.size()));
}

}  // namespace bailey::dispatcher
