// A detached file system in memory that never swaps: written through its descriptor, then sealed. Part of
// stage.cc.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::secrets {

class DetachedMount {
 public:
  // Room for `files` files of `bytes` bytes together (ramfs has no such limits, but nobody else ever writes
  // to it). As an ordinary user this forks a child, which ends by seal() or with this object.
  static Result<DetachedMount> create(size_t bytes, size_t files);
  DetachedMount(DetachedMount&& other) noexcept
      : mount_(std::move(other.mount_)),
        child_channel_(std::move(other.child_channel_)),
        child_(std::exchange(other.child_, -1)) {}
  DetachedMount& operator=(DetachedMount&&) = delete;
  ~DetachedMount();

  int fd() const { return mount_.get(); }
  // Makes it read-only for good and gives it up.
  Result<Fd> seal();

 private:
  DetachedMount() = default;
  Result<> create_in_child();
  Fd mount_;
  Fd child_channel_;  // of the child that owns the user namespace; empty when we have the right ourselves
  pid_t child_ = -1;
};

}  // namespace bailey::secrets
