#include "native/root/places.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "native/root/kernel_abi.h"

namespace bailey::native {

int attach(int mount, const Place& place) {
  const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*place.name ? 0 : MOVE_MOUNT_T_EMPTY_PATH);
  return ::move_mount(mount, "", place.fd, place.name, flags) < 0 ? errno : 0;
}

// One component at a time on opened descriptors; each step resolves inside the root.
int make_directories(int root, const char* path, mode_t mode) {
  const int there = openat2_in_root(root, *path ? path : "/", O_PATH | O_DIRECTORY);
  if (there >= 0) return there;
  if (errno != ENOENT) return -errno;
  char part[PATH_MAX];
  const size_t length = std::strlen(path);
  if (length >= sizeof part) return -ENAMETOOLONG;
  int parent = openat2_in_root(root, "/", O_PATH | O_DIRECTORY);
  if (parent < 0) return -errno;
  size_t start = 0;
  while (start < length) {
    while (start < length && path[start] == '/') ++start;
    size_t end = start;
    while (end < length && path[end] != '/') ++end;
    if (end == start) break;
    const Held here(parent);
    std::memcpy(part, path + start, end - start);
    part[end - start] = '\0';
    if (std::strcmp(part, "..") == 0) return -EINVAL;
    std::memcpy(part, path, end);
    part[end] = '\0';
    parent = openat2_in_root(root, part, O_PATH | O_DIRECTORY);
    if (parent < 0 && errno == ENOENT) {
      std::memmove(part, part + start, end - start + 1);
      if (::mkdirat(here.get(), part, mode) < 0 && errno != EEXIST) return -errno;
      parent = ::openat(here.get(), part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (parent < 0) return -errno;
    start = end;
  }
  return parent;
}

int parent_of(int root, const char* path, const char** name) {
  char directory[PATH_MAX];
  const char* slash = std::strrchr(path, '/');
  if (!slash || slash[1] == '\0') return -EINVAL;
  const auto length = static_cast<size_t>(slash - path);
  if (length >= sizeof directory) return -ENAMETOOLONG;
  std::memcpy(directory, path, length);
  directory[length] = '\0';
  *name = slash + 1;
  return make_directories(root, directory, 0755);
}

int open_destination(int root, const char* path, bool directory, bool no_links) {
  const int there = openat2_in_root(root, path, O_PATH, no_links ? RESOLVE_NO_SYMLINKS : 0);
  if (there >= 0) return there;
  if (errno != ENOENT) return -errno;
  if (directory) return make_directories(root, path, 0755);
  const char* name = nullptr;
  const Held parent(parent_of(root, path, &name));
  if (parent.failed()) return parent.get();
  const Held made(::openat(parent.get(), name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0444));
  if (made.failed()) return -errno;
  const int again = ::openat(parent.get(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  return again < 0 ? -errno : again;
}

}  // namespace bailey::native
