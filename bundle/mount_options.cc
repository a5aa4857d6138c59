#include "bundle/mount_options.h"

#include <sys/mount.h>

#include <algorithm>
#include <iterator>

#include "base/units.h"

namespace bailey::bundle {

namespace {

using enum OptionGroup;

// "rw", "exec" and the like take nothing away: what the host's own mount forbids stays forbidden. relatime is the kernel's
// default and has no bit of its own.
constexpr MountOption kOptions[] = {
    {.name = "bind", .group = binding},
    {.name = "rbind", .group = binding},
    {.name = "ro", .group = writing, .set = MOUNT_ATTR_RDONLY, .for_tmpfs = true, .sentry = true},
    {.name = "rro", .group = writing, .set = MOUNT_ATTR_RDONLY, .sentry = true},
    {.name = "rw", .group = writing, .for_tmpfs = true, .sentry = true},
    {.name = "nosuid", .group = set_id, .set = MOUNT_ATTR_NOSUID, .for_tmpfs = true, .sentry = true},
    {.name = "rnosuid", .group = set_id, .set = MOUNT_ATTR_NOSUID, .sentry = true},
    {.name = "nodev", .group = devices, .set = MOUNT_ATTR_NODEV, .for_tmpfs = true, .sentry = true},
    {.name = "rnodev", .group = devices, .set = MOUNT_ATTR_NODEV, .sentry = true},
    {.name = "noexec", .group = programs, .set = MOUNT_ATTR_NOEXEC, .for_tmpfs = true, .sentry = true},
    {.name = "rnoexec", .group = programs, .set = MOUNT_ATTR_NOEXEC, .sentry = true},
    {.name = "exec", .group = programs, .for_tmpfs = true, .sentry = true},
    {.name = "noatime", .group = file_times, .set = MOUNT_ATTR_NOATIME, .clear = MOUNT_ATTR__ATIME},
    {.name = "rnoatime", .group = file_times, .set = MOUNT_ATTR_NOATIME, .clear = MOUNT_ATTR__ATIME},
    {.name = "strictatime", .group = file_times, .set = MOUNT_ATTR_STRICTATIME, .clear = MOUNT_ATTR__ATIME},
    {.name = "rstrictatime", .group = file_times, .set = MOUNT_ATTR_STRICTATIME, .clear = MOUNT_ATTR__ATIME},
    {.name = "relatime", .group = file_times, .clear = MOUNT_ATTR__ATIME},
    {.name = "rrelatime", .group = file_times, .clear = MOUNT_ATTR__ATIME},
    {.name = "atime", .group = file_times, .clear = MOUNT_ATTR__ATIME},
    {.name = "nodiratime", .group = directory_times, .set = MOUNT_ATTR_NODIRATIME},
    {.name = "rnodiratime", .group = directory_times, .set = MOUNT_ATTR_NODIRATIME},
    {.name = "diratime", .group = directory_times, .clear = MOUNT_ATTR_NODIRATIME},
    {.name = "private", .group = propagation},
    {.name = "rprivate", .group = propagation},
};

// Options that say the same thing, whether of one mount or of all below it.
std::string_view meaning_of(const MountOption& option) {
  if (option.name == "rbind") return "bind";
  if (option.name == "atime" || option.name == "rrelatime") return "relatime";
  const bool recursive = option.name.starts_with('r') && find_mount_option(option.name.substr(1));
  return recursive ? option.name.substr(1) : option.name;
}

constexpr const char* kLeaveOut = "leave it out";

// Of a name, or of a key when it ends with "=".
struct Reason {
  std::string_view name;
  const char* why;
  const char* remedy = kLeaveOut;
};

constexpr const char* kNeverLifted = "is not for volumes: they are always nosuid and nodev";
constexpr const char* kPrivate = "is not for volumes: their mounts neither reach the host nor come from it later";
constexpr const char* kWholeFileSystem = "is a property of the whole file system, not of a volume";
constexpr const char* kOnTheHost = "leave it out, or mount the file system so on the host";
constexpr const char* kLabels = "is a security label, and volumes get none";
constexpr const char* kOfFstab = "is for mount(8) and fstab, not for volumes";
constexpr const char* kOfEngines = "is another engine's";
constexpr const char* kLifts = "is not for volumes: what the host's mounts forbid stays forbidden";
constexpr const char* kStrict = "is ambiguous: the kernel's default is relatime";
constexpr const char* kIds = "is not needed: the ids of a volume are mapped anyway";
constexpr const char* kNoSentry = "is not for volumes: gVisor cannot enforce it";

constexpr Reason kReasons[] = {
    {"suid", kNeverLifted},
    {"rsuid", kNeverLifted},
    {"dev", kNeverLifted},
    {"rdev", kNeverLifted},
    {"rrw", kLifts},
    {"rexec", kLifts},
    {"rdiratime", kLifts, "diratime"},
    {"ratime", kLifts, "atime"},
    {"norelatime", kStrict, "strictatime or noatime"},
    {"rnorelatime", kStrict, "strictatime or noatime"},
    {"nostrictatime", kStrict, "relatime"},
    {"rnostrictatime", kStrict, "relatime"},
    {"shared", kPrivate},
    {"rshared", kPrivate},
    {"slave", kPrivate},
    {"rslave", kPrivate},
    {"unbindable", kPrivate},
    {"runbindable", kPrivate},
    {"remount", "is not for volumes: a sandbox's mounts are made once"},
    {"move", "is not for volumes: the source stays where it is"},
    {"sync", kWholeFileSystem, kOnTheHost},
    {"async", kWholeFileSystem, kOnTheHost},
    {"dirsync", kWholeFileSystem, kOnTheHost},
    {"mand", kWholeFileSystem, kOnTheHost},
    {"nomand", kWholeFileSystem, kOnTheHost},
    {"lazytime", kWholeFileSystem, kOnTheHost},
    {"nolazytime", kWholeFileSystem, kOnTheHost},
    {"iversion", kWholeFileSystem, kOnTheHost},
    {"noiversion", kWholeFileSystem, kOnTheHost},
    {"silent", kWholeFileSystem, kOnTheHost},
    {"loud", kWholeFileSystem, kOnTheHost},
    {"acl", kWholeFileSystem, kOnTheHost},
    {"noacl", kWholeFileSystem, kOnTheHost},
    {"nosymfollow", kNoSentry},
    {"rnosymfollow", kNoSentry},
    {"symfollow", kNoSentry},
    {"rsymfollow", kNoSentry},
    {"idmap", kIds},
    {"ridmap", kIds},
    {"idmap=", kIds},
    {"X-mount.idmap=", kIds},
    {"context=", kLabels},
    {"fscontext=", kLabels},
    {"defcontext=", kLabels},
    {"rootcontext=", kLabels},
    {"seclabel", kLabels},
    {"defaults", kOfFstab},
    {"auto", kOfFstab},
    {"noauto", kOfFstab},
    {"user", kOfFstab},
    {"nouser", kOfFstab},
    {"users", kOfFstab},
    {"owner", kOfFstab},
    {"group", kOfFstab},
    {"nofail", kOfFstab},
    {"_netdev", kOfFstab},
    {"loop", kOfFstab},
    {"comment=", kOfFstab},
    {"z", kOfEngines},
    {"Z", kOfEngines},
    {"U", kOfEngines},
    {"O", kOfEngines},
    {"nocopy", kOfEngines},
    {"copy", kOfEngines},
    {"cached", kOfEngines},
    {"delegated", kOfEngines},
    {"consistent", kOfEngines},
    {"tmpcopyup", kOfEngines},
    {"copyup", kOfEngines},
};

constexpr std::string_view kSizes[] = {"size", "nr_inodes", "nr_blocks", "huge", "mpol"};
constexpr std::string_view kOwners[] = {"mode", "uid", "gid"};

template <size_t N>
bool is_one_of(std::string_view word, const std::string_view (&words)[N]) {
  return std::ranges::find(words, word) != std::end(words);
}

std::optional<OptionRefusal> refused_value(std::string_view key, std::string_view value) {
  if (key == "mode") {
    const bool octal = !value.empty() && value.size() <= 5 && value.find_first_not_of("01234567") == value.npos;
    if (octal && (value.size() < 5 || value[0] == '0')) return std::nullopt;
    return OptionRefusal{"is no octal mode", "mode=0755 or the like"};
  }
  const auto id = units::parse_unsigned(value);
  if (id && *id < UINT32_MAX) return std::nullopt;
  return OptionRefusal{"is no numeric id", std::string(key) + "=0 to " + std::string(key) + "=4294967294"};
}

}  // namespace

const MountOption* find_mount_option(std::string_view name) {
  const auto found = std::ranges::find(kOptions, name, &MountOption::name);
  return found == std::end(kOptions) ? nullptr : found;
}

bool requires_root(OptionGroup group) { return group == file_times || group == directory_times; }

std::optional<OptionRefusal> refused_option(MountKind kind, std::string_view option) {
  const bool tmpfs = kind == MountKind::tmpfs;
  if (option.empty()) return OptionRefusal{"is empty", kLeaveOut};
  if (const MountOption* known = find_mount_option(option)) {
    if (!tmpfs || known->for_tmpfs) return std::nullopt;
    return OptionRefusal{"is not for a tmpfs", kLeaveOut};
  }
  const size_t equals = option.find('=');
  const std::string_view key = option.substr(0, equals);
  const std::string_view name = option.substr(0, equals == option.npos ? equals : equals + 1);
  if (is_one_of(key, kSizes)) {
    if (tmpfs)
      return OptionRefusal{"is not for volumes: the limits tmpfs and tmpfs_inodes say it", "--tmpfs-size, --tmpfs-inodes"};
    return OptionRefusal{"is for a tmpfs: a bind has the room of its file system", kLeaveOut};
  }
  if (is_one_of(key, kOwners)) {
    if (!tmpfs) return OptionRefusal{"is for a tmpfs: a bind has the owner and the mode of its source", kLeaveOut};
    return refused_value(key, equals == option.npos ? std::string_view() : option.substr(equals + 1));
  }
  for (const Reason& reason : kReasons)
    if (reason.name == name) return OptionRefusal{reason.why, reason.remedy};
  if (option.starts_with("x-") || option.starts_with("X-")) return OptionRefusal{kOfFstab, kLeaveOut};
  return OptionRefusal{"is not for volumes", kLeaveOut};
}

std::string contradiction(const std::vector<std::string>& options) {
  const auto differ = [](const std::string& one, const std::string& other) {
    const MountOption* first = find_mount_option(one);
    const MountOption* second = find_mount_option(other);
    if (first && second) return first->group == second->group && meaning_of(*first) != meaning_of(*second);
    const size_t equals = one.find('=');
    return equals != one.npos && one != other && other.starts_with(one.substr(0, equals + 1));
  };
  for (size_t later = 1; later < options.size(); ++later)
    for (size_t earlier = 0; earlier < later; ++earlier)
      if (differ(options[earlier], options[later])) return "'" + options[earlier] + "' and '" + options[later] + "'";
  return {};
}

MountAttributes attributes_of(std::span<const std::string> options) {
  MountAttributes attributes;
  for (const std::string& name : options) {
    const MountOption* option = find_mount_option(name);
    if (!option) continue;
    for (const MountOption& other : kOptions)
      if (other.group == option->group) attributes.set &= ~other.set, attributes.clear &= ~other.clear;
    attributes.set |= option->set;
    attributes.clear |= option->clear;
  }
  return attributes;
}

}  // namespace bailey::bundle
