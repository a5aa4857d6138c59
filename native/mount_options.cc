#include "native/mount_options.h"

#include <sys/mount.h>

#include <string_view>

#include "native/kernel_abi.h"

namespace bailey::native {

namespace {

struct Flag {
  std::string_view name;
  uint64_t attribute;
  bool clear;
};

// Later options win over earlier ones, as in mount(8): "ro,rw" is rw.
constexpr Flag kFlags[] = {
    {"ro", MOUNT_ATTR_RDONLY, false},
    {"rw", MOUNT_ATTR_RDONLY, true},
    {"nosuid", MOUNT_ATTR_NOSUID, false},
    {"suid", MOUNT_ATTR_NOSUID, true},
    {"nodev", MOUNT_ATTR_NODEV, false},
    {"dev", MOUNT_ATTR_NODEV, true},
    {"noexec", MOUNT_ATTR_NOEXEC, false},
    {"exec", MOUNT_ATTR_NOEXEC, true},
    {"noatime", MOUNT_ATTR_NOATIME, false},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, false},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, false},
};

// Accepted and without effect: they are the kernel's defaults, or propagation types that a private sandbox has anyway.
constexpr std::string_view kNoEffect[] = {"defaults", "relatime", "private", "rprivate", "slave", "rslave", "newinstance"};

bool takes_no_effect(std::string_view option) {
  for (const std::string_view known : kNoEffect)
    if (known == option) return true;
  return false;
}

bool apply_flag(std::string_view option, uint64_t& set) {
  for (const Flag& flag : kFlags) {
    if (flag.name != option) continue;
    set = flag.clear ? set & ~flag.attribute : set | flag.attribute;
    return true;
  }
  return false;
}

}  // namespace

Result<MountOptions> parse_mount_options(const std::vector<std::string>& options) {
  constexpr std::string_view kFileSystemKeys[] = {"size", "nr_inodes", "mode", "uid", "gid", "ptmxmode", "max"};
  MountOptions parsed;
  for (const std::string& option : options) {
    if (option == "bind" || option == "rbind") {
      parsed.bind = true;
      parsed.recursive = option == "rbind";
      continue;
    }
    if (apply_flag(option, parsed.set) || takes_no_effect(option)) continue;
    if (option.starts_with('r') && apply_flag(std::string_view(option).substr(1), parsed.set_recursively)) continue;
    const size_t equals = option.find('=');
    const std::string_view key = std::string_view(option).substr(0, equals);
    bool known = false;
    for (const std::string_view k : kFileSystemKeys) known |= k == key && equals != std::string::npos;
    if (!known) return fail(Fault::refused, "mount option '" + option + "' is not supported", "leave it out");
    if (option.find(',') != std::string::npos)
      return fail(Fault::refused, "mount option '" + option + "' has a comma", "write each option as an element of its own");
    parsed.file_system.emplace_back(key, option.substr(equals + 1));
  }
  return parsed;
}

std::string mount_data(const std::vector<std::pair<std::string, std::string>>& options) {
  std::string data;
  for (const auto& [key, value] : options) {
    if (!data.empty()) data += ',';
    data.append(key);
    if (!value.empty()) data.append("=").append(value);
  }
  return data;
}

}  // namespace bailey::native
