// A FUSE file system whose server leaves chosen requests unanswered: whoever makes one sleeps in the kernel and cannot be
// killed until this object goes, as with the server of a network file system that is gone. As root.
//
//   /       directory      /sub, /data     empty directories      /f    "hello\n", mode 0777; writes are taken and forgotten
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::tests {

class HungFileSystem {
 public:
  // Returns everything at first. Error: no /dev/fuse.
  static Result<HungFileSystem> create();
  HungFileSystem(HungFileSystem&&) noexcept;
  ~HungFileSystem();  // every request that waits, and every later one, fails with ENOTCONN

  // From now on requests of these kinds (FUSE_GETATTR and so on, linux/fuse.h) hang.
  void hang(const std::vector<uint32_t>& opcodes);
  // How many wait.
  int hanging() const;

  // Mounts it on a directory, in a mount namespace of the calling process's own: for RunOptions::before_exec. Ends the process
  // on an error.
  void mount_here(const std::string& directory) const;

 private:
  struct Shared;
  HungFileSystem() = default;
  Fd device_;
  pid_t server_ = -1;
  Shared* shared_ = nullptr;
};

}  // namespace bailey::tests
