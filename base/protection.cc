#include "base/protection.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <sstream>

#include "base/files.h"

namespace bailey {

namespace {

constexpr uid_t kOverflow = 65534;

// Whether the overflow user is somebody who is not mapped here, and the host's root one of those: uid_map has lines of the
// first id inside, the first outside, and how many.
bool root_is_unmapped() {
  std::istringstream map(files::read("/proc/self/uid_map", 64 << 10).value_or("0 0 4294967295"));
  for (uint64_t inside = 0, outside = 0, count = 0; map >> inside >> outside >> count;)
    if (outside == 0 || (inside <= kOverflow && kOverflow < inside + count)) return false;
  return true;
}

std::optional<Weakness> foreign(const struct stat& info, const std::string& path) {
  return Weakness{path, "belongs to uid " + std::to_string(info.st_uid), "chown root " + path};
}

std::optional<Weakness> writable(const struct stat& info, const std::string& path) {
  const std::string remedy = "chmod go-w " + path;
  if (info.st_mode & S_IWOTH) return Weakness{path, "is writable by everybody", remedy};
  if (info.st_mode & S_IWGRP) return Weakness{path, "is writable by group " + std::to_string(info.st_gid), remedy};
  return {};
}

}  // namespace

std::optional<Weakness> weakness_of(const struct stat& info, const std::string& path) {
  if (info.st_uid != 0 && info.st_uid != ::geteuid()) return foreign(info, path);
  return writable(info, path);
}

Result<std::optional<Weakness>> weakness_above(int fd, Unmapped unmapped) {
  std::string path = TRY(files::readlink("/proc/self/fd/" + std::to_string(fd)));
  while (path.size() > 1) {
    path.resize(std::max<size_t>(1, path.rfind('/')));
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) return sys_error("looking at " + path, errno);
    if (!S_ISDIR(info.st_mode)) return fail(Fault::failed, path + " is no directory any more", "try again");
    const bool may_be_root = info.st_uid == kOverflow && unmapped == Unmapped::taken_for_root && root_is_unmapped();
    if (info.st_uid != 0 && info.st_uid != ::geteuid() && !may_be_root) return foreign(info, path);
    if (!(info.st_mode & S_ISVTX))
      if (auto weakness = writable(info, path)) return weakness;
  }
  return std::nullopt;
}

}  // namespace bailey
