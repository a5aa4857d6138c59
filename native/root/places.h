// Where things go in a root that somebody else may have shaped: paths resolved inside it, component by component, by
// openat2(RESOLVE_IN_ROOT), so that no link of it leads outside (CVE-2021-30465, CVE-2024-45310). Runs between clone and exec:
// allocates nothing. Results are descriptors or -errno, if not said otherwise.
#pragma once

#include <sys/types.h>
#include <unistd.h>

namespace bailey::native {

// An owned descriptor that must not drag in anything that allocates.
class Held {
 public:
  explicit Held(int fd = -1) : fd_(fd) {}
  Held(Held&& other) : fd_(other.release()) {}
  Held& operator=(Held&& other) {
    reset();
    fd_ = other.release();
    return *this;
  }
  ~Held() { reset(); }
  int get() const { return fd_; }
  bool failed() const { return fd_ < 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int fd_;
};

// Where something goes: `name` below an opened directory of our own, or "" for what `fd` itself refers to.
struct Place {
  int fd = -1;
  const char* name = "";
};

// Attaches a detached mount: 0 or an errno. A last component that is a link is not followed (move_mount(2) does so only when
// told).
int attach(int mount, const Place& place);

// mkdir -p. An O_PATH descriptor of the directory.
int make_directories(int root, const char* path, mode_t mode);
// The directory of `path`, made when missing, with `*name` set to the last component.
int parent_of(int root, const char* path, const char** name);
// Where a mount goes: an existing path, or one made here with the kind of what will cover it. With `no_links` a link on the way
// is ELOOP.
int open_destination(int root, const char* path, bool directory, bool no_links);

}  // namespace bailey::native
