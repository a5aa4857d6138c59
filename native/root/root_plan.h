// RootPlan: the sandbox's file tree as plain data: the host's ends of its mounts, and the steps that build it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bailey::native {

// The host's end of a bind mount: cloned into a detached mount before the child exists (root) or by the child itself.
struct TreeSource {
  enum class Kind { path, volume, rootfs, device };
  Kind kind = Kind::path;
  std::string path;                              // real path on the host
  size_t mount_index = 0;                        // volume: which of config.mounts
  uint64_t attributes = 0;                       // MOUNT_ATTR_* for the mount and everything below it
  uint64_t cleared = 0;                          // MOUNT_ATTR_* taken away first
  uint64_t own_attributes = 0, own_cleared = 0;  // likewise for the mount alone, first
  bool recursive = true;
  // MS_PRIVATE and its like, with MS_REC for everything below. Empty: private, wholly.
  std::vector<unsigned long> propagation = {};
  bool id_mapped = false;  // on-disk ids are seen as the sandbox's own (open_tree_attr: needs root and a willing file system)
  unsigned device_major = 0, device_minor = 0;  // device: what fstat must say
};

// One step of building the root, relative to it. Executed in order after clone; strings are ready, nothing is allocated then.
struct RootOperation {
  enum class Kind {
    directory,    // mkdir -p
    symlink,      // path -> text
    file,         // contents text
    attach_tree,  // trees[tree] onto path (made when missing: a directory, or a file for a tree that is one)
    file_system,  // a new file system of type `text` with `options` onto path
    mask,         // an empty read-only file or directory onto path, when it exists
    read_only,    // path becomes a read-only mount of itself, when it exists
    seal,         // the mount at path becomes read-only
    secrets,      // the staged secrets onto path
    file_over,    // contents text, onto the file that an earlier mount shows at path
    bind_inside,  // what lies at `text` in the new root onto path as well
    pty,          // makes the terminal in path (devpts)
    node,         // a device node or FIFO of type and mode `mode`, with `device` and `owner`, in place of what is there
    console,      // the terminal's slave onto path
    remount,      // the mount at path gets `attributes` and loses `cleared`
  };
  // Where `path` is looked up. foreign: somebody else may have put links there, so openat2 resolves each component inside the
  // root. The others: only we have written there, so one plain call with the rest of the path, name(), is safe.
  enum class Within { foreign, own_root, own_dev, own_proc };
  Kind kind = Kind::directory;
  std::string path;
  std::string text;
  std::string source = {};  // file_system: as mount(2) takes it; empty: a name of ours
  mode_t mode = 0755;
  bool no_links = false;  // a link on the way is an error: what later operations find by this name must stay there
  size_t tree = 0;
  uint64_t attributes = 0;  // MOUNT_ATTR_*
  uint64_t cleared = 0;
  unsigned long flags = 0;  // MS_* of mount(2) that no attribute is
  std::vector<unsigned long> propagation = {};
  dev_t device = 0;
  uid_t owner = 0;
  gid_t group = 0;
  std::vector<std::pair<std::string, std::string>> options;
  std::string data = {};  // the options as mount(2) takes them
  bool keeps = false;     // symlink: what is there already stays
  Within within = Within::foreign;
  Within keep = Within::foreign;  // file_system: its root is own_dev or own_proc from now on
  const char* name() const;
};

struct RootPlan {
  std::vector<TreeSource> trees;
  int tree = -1;           // trees index of --rootfs; -1: a tmpfs of our own
  bool overlay = false;    // an in-memory layer over `tree`; otherwise that is the root itself
  std::string data;        // options of the tmpfs root
  std::string stage_data;  // options of the stage, which has the overlay's upper layer
  bool read_only = true;
  unsigned long propagation = 0;  // of the root when all is done: MS_SHARED | MS_REC and its like; 0: private
  std::vector<RootOperation> operations;
  uid_t terminal_owner = 0;  // of `pty`, inside
  uint32_t console_rows = 0, console_columns = 0;
};

}  // namespace bailey::native
