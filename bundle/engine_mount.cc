#include "bundle/engine_mount.h"

#include <sys/mount.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace bailey::bundle {

namespace {

// Of the mount. With "r" in front: of it and of all mounts below it.
struct Attribute {
  std::string_view name;
  uint64_t set = 0, clear = 0;
};
constexpr Attribute kAttributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    // How access times are kept is one field, which is cleared as a whole; relatime is its 0.
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
};

struct Flag {
  std::string_view name;
  unsigned long set = 0, clear = 0;
};
constexpr Flag kFileSystemFlags[] = {
    {"sync", MS_SYNCHRONOUS, 0},     {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},      {"mand", MS_MANDLOCK, 0},
    {"nomand", 0, MS_MANDLOCK},      {"lazytime", MS_LAZYTIME, 0},
    {"nolazytime", 0, MS_LAZYTIME},  {"iversion", MS_I_VERSION, 0},
    {"noiversion", 0, MS_I_VERSION}, {"silent", MS_SILENT, 0},
    {"loud", 0, MS_SILENT},          {"acl", MS_POSIXACL, 0},
    {"noacl", 0, MS_POSIXACL},       {"defaults", 0, 0},
};

constexpr std::pair<std::string_view, unsigned long> kPropagation[] = {
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

// The later option wins.
void apply(const Attribute& attribute, uint64_t& set, uint64_t& clear) {
  set &= ~(attribute.clear | attribute.set);
  clear &= ~(attribute.clear | attribute.set);
  set |= attribute.set;
  clear |= attribute.clear;
}

const Attribute* find_attribute(std::string_view name) {
  const auto found = std::ranges::find(kAttributes, name, &Attribute::name);
  return found == std::end(kAttributes) ? nullptr : found;
}

bool take_flag(EngineMountOptions& out, std::string_view option) {
  if (option == "bind") return out.bind = true;
  if (option == "rbind") return out.bind = out.with_submounts = true;
  if (option == "remount") return out.remount = true;
  if (option == "tmpcopyup") return out.copy_up = true;
  if (option == "idmap") return out.id_map = true;
  if (option == "ridmap") return out.id_map = out.id_map_submounts = true;
  if (option == "newinstance") return true;  // every devpts is one of its own (Linux 4.7)
  for (const auto& [name, propagation] : kPropagation)
    if (name == option) return out.propagation.push_back(propagation), true;
  for (const Flag& flag : kFileSystemFlags)
    if (flag.name == option) return out.file_system_flags = (out.file_system_flags & ~flag.clear) | flag.set, true;
  if (const Attribute* attribute = find_attribute(option)) return apply(*attribute, out.set, out.clear), true;
  const Attribute* below = option.starts_with('r') ? find_attribute(option.substr(1)) : nullptr;
  if (!below) return false;
  apply(*below, out.set_below, out.clear_below);
  return true;
}

}  // namespace

Result<EngineMountOptions> parse_engine_mount(const std::vector<std::string>& options) {
  EngineMountOptions out;
  for (const std::string& option : options) {
    if (option.empty() || take_flag(out, option)) continue;
    if (option.find(',') != std::string::npos)
      return fail(Fault::bad_input, "mount option '" + option + "' has a comma", "write each option as an element of its own");
    out.data.append(out.data.empty() ? "" : ",").append(option);
  }
  return out;
}

}  // namespace bailey::bundle
