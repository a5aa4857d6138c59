#include "native/root_builder.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "native/kernel_abi.h"

namespace bailey::native {

namespace {

using Kind = RootOperation::Kind;
using Options = std::vector<std::pair<std::string, std::string>>;

// On the new root while it is built: an empty file that is a mount of itself, so that its clones carry the attributes.
constexpr const char* kMaskFile = ".bailey-empty";
constexpr uint64_t kMaskAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// An owned descriptor that must not drag in anything that allocates.
class Held {
 public:
  explicit Held(int fd) : fd_(fd) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool failed() const { return fd_ < 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

// A new file system as a detached mount, or -errno.
int new_file_system(const char* type, const Options& options, uint64_t attributes) {
  const Held fs(::fsopen(type, FSOPEN_CLOEXEC));
  if (fs.failed()) return -errno;
  for (const auto& [key, value] : options) {
    const int done = value.empty() ? ::fsconfig(fs.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                                   : ::fsconfig(fs.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
    if (done < 0) return -errno;
  }
  if (::fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return -errno;
  const int mount = ::fsmount(fs.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes));
  return mount < 0 ? -errno : mount;
}

// mkdir -p below root, one component at a time on opened descriptors, so that a link in the tree cannot lead outside: each
// step resolves inside the root. Answers an O_PATH descriptor of the directory, or -errno.
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

// The directory of `path` (made when missing), with `*name` set to the last component. -errno on failure.
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

// Where a mount goes: an existing path, or one made here with the kind of what will cover it.
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

bool is_directory(int fd) {
  struct stat st{};
  return ::fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 && S_ISDIR(st.st_mode);
}

int attach_at(int root, const RootOperation& op, int mount, bool directory) {
  const Held place(open_destination(root, op.path.c_str(), directory, op.no_links));
  if (place.failed()) return -place.get();
  return attach_mount(mount, place.get()) < 0 ? errno : 0;
}

int write_file(int root, const RootOperation& op) {
  const char* name = nullptr;
  const Held parent(parent_of(root, op.path.c_str(), &name));
  if (parent.failed()) return -parent.get();
  const Held file(::openat(parent.get(), name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, op.mode));
  if (file.failed()) return errno;
  size_t done = 0;
  while (done < op.text.size()) {
    const ssize_t put = ::write(file.get(), op.text.data() + done, op.text.size() - done);
    if (put < 0 && errno != EINTR) return errno;
    if (put > 0) done += static_cast<size_t>(put);
  }
  return 0;
}

int make_symlink(int root, const RootOperation& op) {
  const char* name = nullptr;
  const Held parent(parent_of(root, op.path.c_str(), &name));
  if (parent.failed()) return -parent.get();
  return ::symlinkat(op.text.c_str(), parent.get(), name) < 0 ? errno : 0;
}

// A mask is a clone of our own empty file or an empty tmpfs, never the sandbox's /dev/null, which a hostile root may have
// replaced by a link (CVE-2025-31133). What does not exist needs no mask.
int mask(int root, const RootOperation& op) {
  const Held place(openat2_in_root(root, op.path.c_str(), O_PATH | O_NOFOLLOW));
  if (place.failed()) return errno == ENOENT ? 0 : errno;
  const bool directory = is_directory(place.get());
  const Held cover(directory ? new_file_system("tmpfs", op.options, kMaskAttributes)
                             : ::open_tree(root, kMaskFile, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (cover.failed()) return directory ? -cover.get() : errno;
  return attach_mount(cover.get(), place.get()) < 0 ? errno : 0;
}

int make_read_only(int root, const RootOperation& op) {
  const Held place(openat2_in_root(root, op.path.c_str(), O_PATH | O_NOFOLLOW));
  if (place.failed()) return errno == ENOENT ? 0 : errno;
  const Held tree(::open_tree(place.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE));
  if (tree.failed()) return errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0) return errno;
  return attach_mount(tree.get(), place.get()) < 0 ? errno : 0;
}

int bind_inside(int root, const RootOperation& op) {
  const Held source(openat2_in_root(root, op.text.c_str(), O_PATH | O_NOFOLLOW));
  if (source.failed()) return errno;
  const Held tree(::open_tree(source.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  return tree.failed() ? errno : attach_at(root, op, tree.get(), is_directory(tree.get()));
}

int seal(int root, const RootOperation& op) {
  const Held place(openat2_in_root(root, op.path.c_str(), O_PATH | O_DIRECTORY));
  if (place.failed()) return errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  return ::mount_setattr(place.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ? errno : 0;
}

// The pty comes from the sandbox's own devpts and its slave is opened through the master (TIOCGPTPEER, Linux 4.13): no path
// of the sandbox is followed (CVE-2025-52565).
int make_pty(RootInputs& inputs, int root, const RootOperation& op) {
  const Held pts(openat2_in_root(root, op.path.c_str(), O_PATH | O_DIRECTORY));
  if (pts.failed()) return errno;
  Held master(::openat(pts.get(), "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW));
  if (master.failed()) return errno;
  int unlocked = 0;
  if (::ioctl(master.get(), TIOCSPTLCK, &unlocked) < 0) return errno;
  Held slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (slave.failed()) return errno;
  const bundle::User& user = inputs.plan->user;
  if (user.uid != 0 && ::fchown(slave.get(), user.uid, static_cast<gid_t>(-1)) < 0) return errno;
  winsize size{};
  size.ws_row = static_cast<unsigned short>(inputs.plan->console_rows);
  size.ws_col = static_cast<unsigned short>(inputs.plan->console_columns);
  if (size.ws_row && ::ioctl(master.get(), TIOCSWINSZ, &size) < 0) return errno;
  inputs.terminal_master = master.release();
  inputs.terminal_slave = slave.release();
  return 0;
}

int execute(RootInputs& inputs, int root, const RootOperation& op) {
  switch (op.kind) {
    case Kind::directory: {
      const Held made(make_directories(root, op.path.c_str(), op.mode));
      return made.failed() ? -made.get() : 0;
    }
    case Kind::symlink: return make_symlink(root, op);
    case Kind::file: return write_file(root, op);
    case Kind::attach_tree: {
      const int tree = inputs.trees[op.tree];
      return attach_at(root, op, tree, is_directory(tree));
    }
    case Kind::file_system: {
      const Held mount(new_file_system(op.text.c_str(), op.options, op.attributes));
      return mount.failed() ? -mount.get() : attach_at(root, op, mount.get(), true);
    }
    case Kind::mask: return mask(root, op);
    case Kind::read_only: return make_read_only(root, op);
    case Kind::seal: return seal(root, op);
    case Kind::bind_inside: return bind_inside(root, op);
    case Kind::secrets: return attach_at(root, op, inputs.secrets, true);
    case Kind::pty: return make_pty(inputs, root, op);
  }
  return EINVAL;
}

int make_mask_file(int root) {
  const Held file(::openat(root, kMaskFile, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0444));
  if (file.failed()) return errno;
  const Held tree(::open_tree(root, kMaskFile, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (tree.failed()) return errno;
  mount_attr attributes{};
  attributes.attr_set = kMaskAttributes;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) return errno;
  return attach_mount(tree.get(), file.get()) < 0 ? errno : 0;
}

// Its clones stay mounted where they are.
int remove_mask_file(int root) {
  if (::fchdir(root) < 0 || ::umount2(kMaskFile, MNT_DETACH | UMOUNT_NOFOLLOW) < 0) return errno;
  return ::unlinkat(root, kMaskFile, 0) < 0 ? errno : 0;
}

// Stacks a detached mount on "/": it needs a place in this namespace before anything can be mounted below it (detached trees
// take no mounts before Linux 6.15), and "/" is the one directory that every host has.
int stack_on_root(int mount) {
  const Held slash(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (slash.failed()) return errno;
  return attach_mount(mount, slash.get()) < 0 ? errno : 0;
}

// An in-memory layer over --rootfs: mount points that are missing in it appear here, never in the user's directory.
int stack_overlay(const RootInputs& inputs, int* root) {
  const Held stage(new_file_system("tmpfs", inputs.plan->root_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  if (stage.failed()) return -stage.get();
  if (int error = stack_on_root(stage.get())) return error;
  for (const char* name : {"lower", "upper", "work"})
    if (::mkdirat(stage.get(), name, 0755) < 0) return errno;
  const Held lower(::openat(stage.get(), "lower", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (lower.failed() || attach_mount(inputs.trees[inputs.plan->root_tree], lower.get()) < 0) return errno;
  // Paths relative to the stage: nothing of the user's path can be mistaken for an option's separator.
  if (::fchdir(stage.get()) < 0) return errno;
  const Held fs(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (fs.failed()) return errno;
  constexpr const char* kLayers[][2] = {{"lowerdir", "lower"}, {"upperdir", "upper"}, {"workdir", "work"}};
  if (::fsconfig(fs.get(), FSCONFIG_SET_FLAG, "userxattr", nullptr, 0) < 0) return errno;
  for (const auto& [key, value] : kLayers)
    if (::fsconfig(fs.get(), FSCONFIG_SET_STRING, key, value, 0) < 0) return errno;
  if (::fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return errno;
  Held mount(::fsmount(fs.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  if (mount.failed()) return errno;
  // The overlay has clones of its layers; the stage leaves before it would end up stacked on the old root.
  if (::umount2(".", MNT_DETACH) < 0) return errno;
  if (int error = stack_on_root(mount.get())) return error;
  *root = mount.release();
  return 0;
}

}  // namespace

int enter_root(RootInputs& inputs, int* root) {
  // New mounts of the host shall not come in, ours shall not go out. Recursive: the namespace is a copy of all mounts.
  mount_attr attributes{};
  attributes.propagation = MS_PRIVATE;
  if (::mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes) < 0) return errno;
  if (inputs.plan->root_overlay) return stack_overlay(inputs, root);
  Held mount(new_file_system("tmpfs", inputs.plan->root_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  if (mount.failed()) return -mount.get();
  if (int error = stack_on_root(mount.get())) return error;
  *root = mount.release();
  return 0;
}

RootResult build_root(RootInputs& inputs, int root) {
  if (int error = make_mask_file(root)) return {error, -1};
  const auto& operations = inputs.plan->operations;
  for (size_t i = 0; i < operations.size(); ++i)
    if (int error = execute(inputs, root, operations[i])) return {error, static_cast<int>(i)};
  return {remove_mask_file(root), -1};
}

int leave_old_root(int root, bool read_only) {
  if (read_only) {
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (::mount_setattr(root, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) return errno;
  }
  // pivot_root(".", ".") stacks the old root on the new one, where umount2(".") finds it (pivot_root(2), NOTES).
  if (::fchdir(root) < 0 || pivot_root(".", ".") < 0 || ::umount2(".", MNT_DETACH) < 0) return errno;
  if (::chdir("/") < 0) return errno;
  // ".." of a root follows what is stacked on it: anything of the host that was left there would be reached this way.
  struct stat above{}, here{};
  if (::stat("/..", &above) < 0 || ::fstat(root, &here) < 0) return errno;
  return above.st_dev == here.st_dev && above.st_ino == here.st_ino ? 0 : EXDEV;
}

}  // namespace bailey::native
