#include "native/root/trees.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "native/root/kernel_abi.h"

namespace bailey::native {

namespace {

bool same_file(int a, int b) {
  struct stat left{}, right{};
  if (::fstatat(a, "", &left, AT_EMPTY_PATH) < 0 || ::fstatat(b, "", &right, AT_EMPTY_PATH) < 0) return false;
  return left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

bool is_device(int fd, const TreeSource& source) {
  struct stat st{};
  return ::fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 && S_ISCHR(st.st_mode) &&
         st.st_rdev == ::makedev(source.device_major, source.device_minor);
}

int set_attributes(int tree, const TreeSource& source) {
  const unsigned recursive = source.recursive ? AT_RECURSIVE : 0;
  mount_attr attributes{};
  attributes.attr_set = source.own_attributes;
  attributes.attr_clr = source.own_cleared;
  const bool has_own = source.own_attributes || source.own_cleared;
  if (has_own && ::mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) return errno;
  attributes.attr_set = source.attributes;
  attributes.attr_clr = source.cleared;
  // A clone of a shared mount is its peer: what the sandbox mounts below would appear on the host and stay there, and what
  // the host mounts below would appear in the sandbox, writable and with set-id programs.
  if (source.propagation.empty()) attributes.propagation = MS_PRIVATE;
  if (::mount_setattr(tree, "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes) < 0) return errno;
  for (const unsigned long propagation : source.propagation) {
    attributes = {};
    attributes.propagation = propagation & ~static_cast<unsigned long>(MS_REC);
    const unsigned below = propagation & MS_REC ? recursive : 0;
    if (::mount_setattr(tree, "", AT_EMPTY_PATH | below, &attributes, sizeof attributes) < 0) return errno;
  }
  return 0;
}

}  // namespace

int open_tree_source(const AdmittedTree& target, bool in_child) {
  const TreeSource& source = *target.source;
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (source.recursive) flags |= AT_RECURSIVE;
  // Inside a new mount namespace the parent's descriptor belongs to another one and cannot be cloned (EINVAL): the path is
  // walked again there and must lead to the same file.
  const bool by_descriptor = target.opened >= 0 && !in_child;
  const int tree =
      by_descriptor ? ::open_tree(target.opened, "", flags | AT_EMPTY_PATH) : ::open_tree(AT_FDCWD, source.path.c_str(), flags);
  if (tree < 0) return -errno;
  int error = 0;
  if (target.opened >= 0 && !by_descriptor && !same_file(tree, target.opened)) error = ESTALE;
  if (source.kind == TreeSource::Kind::device && !is_device(tree, source)) error = ENODEV;
  if (error == 0) error = set_attributes(tree, source);
  if (error == 0) return tree;
  ::close(tree);
  return -error;
}

const char* file_system_name(int tree) {
  // Those that are known to refuse it, and those whose mounts below may be the ones that do.
  constexpr std::pair<uint64_t, const char*> kNames[] = {
      {OVERLAYFS_SUPER_MAGIC, "overlay"}, {NFS_SUPER_MAGIC, "nfs"},  {V9FS_MAGIC, "9p"},        {FUSE_SUPER_MAGIC, "fuse"},
      {ECRYPTFS_SUPER_MAGIC, "ecryptfs"}, {TMPFS_MAGIC, "tmpfs"},    {RAMFS_MAGIC, "ramfs"},    {EXT4_SUPER_MAGIC, "ext4"},
      {CEPH_SUPER_MAGIC, "ceph"},         {SMB2_SUPER_MAGIC, "smb"}, {CIFS_SUPER_MAGIC, "cifs"}};
  struct statfs info{};
  if (::fstatfs(tree, &info) < 0) return "this file system";
  for (const auto& [magic, name] : kNames)
    if (static_cast<uint64_t>(info.f_type) == magic) return name;
  return "this file system";
}

int map_tree_ids(int tree, int user_namespace, bool recursive) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(user_namespace);
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return ::mount_setattr(tree, "", flags, &attributes, sizeof attributes) < 0 ? errno : 0;
}

}  // namespace bailey::native
