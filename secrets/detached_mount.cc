#include "secrets/detached_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "base/child.h"
#include "base/detached_mount.h"

namespace bailey::secrets {

namespace {

constexpr unsigned kAttributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

int create_ramfs() {
  const MountOption options[] = {{"mode", "0755"}};
  return create_detached_mount("ramfs", options, kAttributes);
}

int make_read_only(int mount) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | kAttributes;
  return ::mount_setattr(mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ? errno : 0;
}

bool write_text(const char* path, const char* text, int length) {
  const Fd file(::open(path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text, static_cast<size_t>(length)) == length;
}

// The child: its own user namespace, in which it may mount. Sends the mount, waits for a byte, seals, replies
// an errno.
[[noreturn]] void serve_mount(int channel, uid_t uid, gid_t gid) {
  char line[64];
  int error = 0;
  int mount = -1;
  ::prctl(PR_SET_DUMPABLE, 1);  // an undumpable process may not write its own maps; no secret was read yet
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) error = errno;
  if (!error && !(write_text("/proc/self/setgroups", "deny", 4) &&
                  write_text("/proc/self/uid_map", line, std::snprintf(line, sizeof line, "0 %u 1", uid)) &&
                  write_text("/proc/self/gid_map", line, std::snprintf(line, sizeof line, "0 %u 1", gid))))
    error = errno;
  if (!error && (mount = create_ramfs()) < 0) error = -mount;
  if (::send(channel, &error, sizeof error, MSG_NOSIGNAL) != sizeof error || error || send_fds(channel, &mount, 1) != 0)
    ::_exit(1);
  char byte;
  if (::recv(channel, &byte, 1, 0) != 1) ::_exit(1);
  error = make_read_only(mount);
  (void)::send(channel, &error, sizeof error, MSG_NOSIGNAL);
  ::_exit(0);
}

Result<> receive_error(int channel, const char* attempted) {
  int error = 0;
  ssize_t got;
  do {
    got = ::recv(channel, &error, sizeof error, 0);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof error) return fail(Fault::failed, std::string(attempted) + ": the child that should do it died");
  if (error) return sys_error(attempted, error);
  return {};
}

}  // namespace

Result<DetachedMount> DetachedMount::create(size_t bytes, size_t files) {
  DetachedMount result;
  const std::string size = std::to_string(bytes), inodes = std::to_string(files);
  const MountOption options[] = {{"noswap", nullptr}, {"size", size.c_str()}, {"nr_inodes", inodes.c_str()}, {"mode", "0755"}};
  int mount = create_detached_mount("tmpfs", options, kAttributes);
  if (mount == -EINVAL) mount = create_ramfs();  // before Linux 6.3, or in a user namespace
  if (mount == -EPERM) {
    TRY(result.create_in_child());
    return result;
  }
  if (mount == -ENOSYS)
    return fail(Fault::unavailable, "secrets need the kernel's mount API of Linux 5.2 (fsopen)",
                "a newer kernel, or no --secret");
  if (mount < 0) return sys_error("creating a file system for secrets", -mount);
  result.mount_ = Fd(mount);
  return result;
}

Result<> DetachedMount::create_in_child() {
  constexpr const char* kAttempted = "creating a file system for secrets in a user namespace";
  SocketPair pair = TRY(create_socket_pair());
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  child_ = ::fork();
  if (child_ < 0) return sys_error(kAttempted, errno);
  if (child_ == 0) {
    pair.ours.reset();  // else it would never see us go away
    serve_mount(pair.theirs.get(), uid, gid);
  }
  child_channel_ = std::move(pair.ours);
  pair.theirs.reset();
  TRY(receive_error(child_channel_.get(), kAttempted));
  mount_ = TRY(receive_fd(child_channel_.get()));
  return {};
}

Result<Fd> DetachedMount::seal() {
  constexpr const char* kAttempted = "making the secrets read-only";
  if (child_channel_) {
    if (::send(child_channel_.get(), "s", 1, MSG_NOSIGNAL) != 1) return sys_error(kAttempted, errno);
    TRY(receive_error(child_channel_.get(), kAttempted));
  } else if (const int error = make_read_only(mount_.get())) {
    return sys_error(kAttempted, error);
  }
  return std::move(mount_);
}

DetachedMount::~DetachedMount() {
  if (child_ <= 0) return;
  child_channel_.reset();  // it waits for this
  (void)await_child(child_);
}

}  // namespace bailey::secrets
