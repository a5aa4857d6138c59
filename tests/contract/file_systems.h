// FileSystems: one small mount of each kind that a volume may lie on, made for a test and taken away again. Its directories are
// empty, mode 0755 and the caller's. Made by root, or on behalf of an ordinary user by the process that prepared for it
// (ordinary_user.h).
#pragma once

#include <sys/types.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace bailey::tests {

class FileSystems {
 public:
  static constexpr const char* kNames[] = {"ext4", "tmpfs", "overlay"};  // ext4 on a loop device
  FileSystems();
  ~FileSystems();
  FileSystems(const FileSystems&) = delete;
  bool ready() const { return ready_; }
  std::string path(const std::string& name) const { return directory_.file(name); }

 private:
  TempDir directory_;
  bool ready_ = false;
};

// Root's part. false: it could not be done, and why stands on stderr.
bool mount_file_systems(const std::string& directory, uid_t uid, gid_t gid);
bool unmount_file_systems(const std::string& directory);

}  // namespace bailey::tests
