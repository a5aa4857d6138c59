#include "native/root/mount_options.h"

#include <string_view>

#include "bundle/mount_options.h"

namespace bailey::native {

Result<MountOptions> parse_mount_options(const std::vector<std::string>& options) {
  constexpr std::string_view kFileSystemKeys[] = {"size", "nr_inodes", "mode", "uid", "gid", "ptmxmode", "max"};
  MountOptions parsed;
  const bundle::MountAttributes attributes = bundle::attributes_of(options);
  parsed.set = attributes.set;
  parsed.clear = attributes.clear;
  for (const std::string& option : options) {
    if (const bundle::MountOption* known = bundle::find_mount_option(option)) {
      parsed.bind |= known->group == bundle::OptionGroup::binding;
      continue;
    }
    if (option == "newinstance") continue;  // every devpts is one of its own
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
