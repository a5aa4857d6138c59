// The files of one cgroup directory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::host {

// What to do where the kernel has cgroups and their file systems are not to be seen. `ip netns exec` mounts a new /sys over the
// old one and so hides what is mounted below it.
inline constexpr const char* kCgroupsNotVisible =
    "the kernel has cgroups, and their file system is not to be seen here: after 'ip netns exec N' use "
    "'nsenter --net=/run/netns/N', which keeps the mounts; in a chroot or container bring the host's /sys/fs/cgroup in";

// Opens a cgroup directory (O_PATH) and checks with statfs that it is one: Fault::unavailable when it is an
// ordinary one.
Result<Fd> open_cgroup(const std::string& path, bool v2);

Result<std::string> read_cgroup_file(int directory, const std::string& file);
// One write(2), so that the kernel takes it whole.
Result<> write_cgroup_file(int directory, const std::string& file, std::string_view value);

// The number that the file holds, or that stands behind `key` on a line of its own ("oom_kill 3"). None: no
// such file or key.
std::optional<uint64_t> read_cgroup_number(int directory, const char* file, std::string_view key = {});
std::optional<uint64_t> find_number(std::string_view text, std::string_view key);  // pure

}  // namespace bailey::host
