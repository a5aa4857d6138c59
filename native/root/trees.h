// Host ends of bind mounts, cloned into detached mounts (open_tree(2) with OPEN_TREE_CLONE, Linux 5.2), so that what was
// checked is what gets mounted, whatever happens to its path meanwhile. Allocates nothing: the same function serves the parent
// (root: before clone) and the child (an ordinary user: only inside its own user namespace may it clone mounts).
#pragma once

#include "native/root/root_plan.h"

namespace bailey::native {

struct AdmittedTree {
  const TreeSource* source = nullptr;
  int opened = -1;  // O_PATH descriptor of the admitted source (volume, rootfs); -1: by path
};

// A descriptor of the detached mount with its attributes set, or -errno. ESTALE: the path no longer leads to what was admitted.
// ENODEV: a device node is not the device it should be.
int open_tree_source(const AdmittedTree& target, bool in_child);

// Shows on-disk ids 0-65535 as those of `user_namespace` (Linux 5.12, file system permitting). 0 or an errno.
int map_tree_ids(int tree, int user_namespace, bool recursive);
// "overlay", "nfs", ...; "this file system" for one that has no name here.
const char* file_system_name(int tree);

}  // namespace bailey::native
