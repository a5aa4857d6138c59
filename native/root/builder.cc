#include "native/root/builder.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "native/root/kernel_abi.h"
#include "native/root/places.h"
#include "native/root/pty.h"

namespace bailey::native {

namespace {

using Kind = RootOperation::Kind;
using Within = RootOperation::Within;

constexpr const char* kMaskFile = "f";
constexpr const char* kMaskDirectory = "d";
constexpr const char* kUsr = "usr";
constexpr uint64_t kMaskAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

unsigned long mount_flags(uint64_t attributes) {
  constexpr std::pair<uint64_t, unsigned long> kSame[] = {{MOUNT_ATTR_RDONLY, MS_RDONLY},
                                                          {MOUNT_ATTR_NOSUID, MS_NOSUID},
                                                          {MOUNT_ATTR_NODEV, MS_NODEV},
                                                          {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
                                                          {MOUNT_ATTR_NOATIME, MS_NOATIME},
                                                          {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME},
                                                          {MOUNT_ATTR_NOSYMFOLLOW, 256UL /* MS_NOSYMFOLLOW, Linux 5.10 */}};
  unsigned long flags = 0;
  for (const auto& [attribute, flag] : kSame)
    if (attributes & attribute) flags |= flag;
  return flags;
}

// A new file system as a detached mount whose descriptor stays, or -errno. For what later operations stand on: it is that file
// system, whatever anybody does to the names that lead to it.
int new_file_system(const RootOperation& op) {
  const Held fs(::fsopen(op.text.c_str(), FSOPEN_CLOEXEC));
  if (fs.failed()) return -errno;
  for (const auto& [key, value] : op.options)
    if (::fsconfig(fs.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) < 0) return -errno;
  if (::fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return -errno;
  const int mount = ::fsmount(fs.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(op.attributes));
  return mount < 0 ? -errno : mount;
}

bool is_directory(int fd) {
  struct stat st{};
  return ::fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 && S_ISDIR(st.st_mode);
}

class Builder {
 public:
  Builder(RootInputs& inputs, const NewRoot& root)
      : inputs_(inputs), plan_(*inputs.plan), root_(root.root), stage_(root.stage) {}

  int execute(const RootOperation& op) {
    switch (op.kind) {
      case Kind::directory: return make_directory(op);
      case Kind::symlink: return make_symlink(op);
      case Kind::file: return write_file(op);
      case Kind::attach_tree: return attach_tree(op);
      case Kind::file_system: return op.keep == Within::foreign ? mount_file_system(op) : keep_file_system(op);
      case Kind::mask: return mask(op);
      case Kind::read_only: return make_read_only(op);
      case Kind::seal: return seal(op);
      case Kind::file_over: return cover_with_file(op);
      case Kind::bind_inside: return bind_inside(op);
      case Kind::secrets: return attach_at(op, inputs_.secrets, true);
      case Kind::pty: return make_pty(op);
      case Kind::node: return make_node(op);
      case Kind::console: return bind_console(op);
      case Kind::remount: return change_mount(op);
    }
    return EINVAL;
  }

 private:
  // The directory of our own that op.name() is relative to; -1: op.path has to be walked.
  int base_of(const RootOperation& op) const {
    switch (op.within) {
      case Within::foreign: return -1;
      case Within::own_root: return root_;
      case Within::own_dev: return dev_.get();
      case Within::own_proc: return proc_.get();
    }
    return -1;
  }

  // The place of something new that is no mount: its directory, opened when it had to be walked to, and its last component.
  int parent(const RootOperation& op, Held& opened, Place& place) const {
    place = {base_of(op), op.name()};
    if (place.fd >= 0) return 0;
    opened = Held(parent_of(root_, op.path.c_str(), &place.name));
    place.fd = opened.get();
    return opened.failed() ? -opened.get() : 0;
  }

  // The place of a mount, made when missing with the kind of what will cover it.
  int destination(const RootOperation& op, bool directory, Held& opened, Place& place) const {
    place = {base_of(op), op.name()};
    if (place.fd < 0) {
      opened = Held(open_destination(root_, op.path.c_str(), directory, op.no_links));
      place = {opened.get(), ""};
      return opened.failed() ? -opened.get() : 0;
    }
    const int made = directory ? ::mkdirat(place.fd, place.name, 0755) : ::mknodat(place.fd, place.name, S_IFREG | 0444, 0);
    return made < 0 && errno != EEXIST ? errno : 0;
  }

  // The place of what is to be covered, itself and not where a link leads.
  int existing(const RootOperation& op, Held& opened, Place& place) const {
    place = {base_of(op), op.name()};
    if (place.fd >= 0) return 0;
    opened = Held(openat2_in_root(root_, op.path.c_str(), O_PATH | O_NOFOLLOW));
    place = {opened.get(), ""};
    return opened.failed() ? errno : 0;
  }

  int attach_at(const RootOperation& op, int mount, bool directory) const {
    Held opened;
    Place place;
    if (int error = destination(op, directory, opened, place)) return error;
    return explain_misfit(attach(mount, place), place, directory);
  }

  int make_directory(const RootOperation& op) const {
    if (const int base = base_of(op); base >= 0) return ::mkdirat(base, op.name(), op.mode) < 0 && errno != EEXIST ? errno : 0;
    const Held made(make_directories(root_, op.path.c_str(), op.mode));
    return made.failed() ? -made.get() : 0;
  }

  int make_symlink(const RootOperation& op) const {
    Held opened;
    Place place;
    if (int error = parent(op, opened, place)) return error;
    if (::symlinkat(op.text.c_str(), place.fd, place.name) == 0 || (op.keeps && errno == EEXIST)) return 0;
    return errno;
  }

  int write_file(const RootOperation& op) const {
    Held opened;
    Place place;
    if (int error = parent(op, opened, place)) return error;
    if (op.within == Within::foreign && ::unlinkat(place.fd, place.name, 0) < 0 && errno != ENOENT) return errno;
    return write_new(place, op);
  }

  static int write_new(const Place& place, const RootOperation& op) {
    const Held file(::openat(place.fd, place.name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, op.mode));
    if (file.failed()) return errno;
    size_t done = 0;
    while (done < op.text.size()) {
      const ssize_t put = ::write(file.get(), op.text.data() + done, op.text.size() - done);
      if (put < 0 && errno != EINTR) return errno;
      if (put > 0) done += static_cast<size_t>(put);
    }
    return 0;
  }

  // The root's own tmpfs holds the file where /usr will cover it.
  int cover_with_file(const RootOperation& op) const {
    if (::mkdirat(root_, kUsr, 0755) < 0 && errno != EEXIST) return errno;
    const Held usr(::openat(root_, kUsr, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (usr.failed()) return errno;
    const Place hidden{usr.get(), std::strrchr(op.path.c_str(), '/') + 1};
    if (int error = write_new(hidden, op)) return error;
    const Held file(::open_tree(hidden.fd, hidden.name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
    if (file.failed()) return errno;
    mount_attr attributes{};
    attributes.attr_set = kMaskAttributes;
    if (::mount_setattr(file.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) return errno;
    return attach(file.get(), {root_, op.name()});
  }

  int attach_tree(const RootOperation& op) const {
    const int tree = inputs_.trees[op.tree];
    return attach_at(op, tree, plan_.trees[op.tree].kind != TreeSource::Kind::device && is_directory(tree));
  }

  // What move_mount(2) calls EINVAL alike: ENOTDIR for a directory onto a file, EISDIR for a file onto a directory.
  static int explain_misfit(int error, const Place& place, bool directory) {
    struct stat there{};
    if (error != EINVAL || ::fstatat(place.fd, place.name, &there, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0) return error;
    if (S_ISDIR(there.st_mode) == directory) return error;
    return directory ? ENOTDIR : EISDIR;
  }

  int keep_file_system(const RootOperation& op) {
    Held mount(new_file_system(op));
    if (mount.failed()) return -mount.get();
    if (int error = attach_at(op, mount.get(), true)) return error;
    (op.keep == Within::own_dev ? dev_ : proc_) = std::move(mount);
    return 0;
  }

  // mount(2) takes a path, and "." is the one that cannot lead elsewhere: the opened destination is the working directory. A
  // fourth of the calls that fsopen(2) and its like take.
  int mount_file_system(const RootOperation& op) const {
    Held opened;
    Place place;
    if (int error = destination(op, true, opened, place)) return error;
    if (*place.name) {
      opened = Held(::openat(place.fd, place.name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (opened.failed()) return errno;
    }
    if (::fchdir(opened.get()) < 0) return errno;
    const char* source = op.source.empty() ? "bailey" : op.source.c_str();
    if (::mount(source, ".", op.text.c_str(), mount_flags(op.attributes) | op.flags, op.data.c_str()) < 0) return errno;
    if (op.propagation.empty()) return 0;
    const Held mounted(openat2_in_root(root_, op.path.c_str(), O_PATH | O_DIRECTORY));  // "." is still what was covered
    if (mounted.failed() || ::fchdir(mounted.get()) < 0) return errno;
    for (const unsigned long propagation : op.propagation)
      if (::mount(nullptr, ".", nullptr, propagation, nullptr) < 0) return errno;
    return 0;
  }

  // Of an engine's: what stands there already (an image may bring a /dev/null) gives way, unless it is the same.
  int make_node(const RootOperation& op) const {
    Held opened;
    Place place;
    if (int error = parent(op, opened, place)) return error;
    for (bool again = true;; again = false) {
      if (::mknodat(place.fd, place.name, op.mode, op.device) == 0) break;
      if (errno != EEXIST || !again) return errno;
      struct stat there{};
      if (::fstatat(place.fd, place.name, &there, AT_SYMLINK_NOFOLLOW) < 0) return errno;
      if ((there.st_mode & S_IFMT) == (op.mode & S_IFMT) && there.st_rdev == op.device) break;
      if (::unlinkat(place.fd, place.name, 0) < 0) return errno;
    }
    if (::fchownat(place.fd, place.name, op.owner, op.group, AT_SYMLINK_NOFOLLOW) < 0) return errno;
    // fchmodat(2) follows links, and there is none: the name was made here, or is what was compared.
    return ::fchmodat(place.fd, place.name, op.mode & 07777, 0) < 0 ? errno : 0;
  }

  // By its own mount and not by a path of the sandbox's (CVE-2025-52565).
  int bind_console(const RootOperation& op) const {
    if (inputs_.terminal_slave < 0) return 0;
    const Held tree(::open_tree(inputs_.terminal_slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
    if (tree.failed()) return errno;
    return attach_at(op, tree.get(), false);
  }

  int change_mount(const RootOperation& op) const {
    const Held there(openat2_in_root(root_, op.path.c_str(), O_PATH));
    if (there.failed()) return errno;
    mount_attr attributes{};
    attributes.attr_set = op.attributes;
    attributes.attr_clr = op.cleared;
    return ::mount_setattr(there.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ? errno : 0;
  }

  // A mask is a clone of our own empty file or directory, never the sandbox's /dev/null, which a hostile root may have replaced
  // by a link (CVE-2025-31133). What does not exist needs no mask.
  int mask(const RootOperation& op) {
    Held opened;
    Place place;
    if (const int error = existing(op, opened, place)) return error == ENOENT ? 0 : error;
    int error = cover(place, kMaskFile, spare_file_);
    if (error == EINVAL || error == ENOTDIR) error = cover(place, kMaskDirectory, spare_directory_);  // it is a directory
    return error == ENOENT ? 0 : error;
  }

  // A clone that found nothing to cover is kept for the next mask.
  int cover(const Place& place, const char* source, Held& spare) const {
    if (spare.failed()) spare = Held(::open_tree(stage_, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (spare.failed()) return errno;
    const int error = attach(spare.get(), place);
    if (error == 0) spare = Held();
    return error;
  }

  int make_read_only(const RootOperation& op) const {
    Held opened;
    Place place;
    if (const int error = existing(op, opened, place)) return error == ENOENT ? 0 : error;
    constexpr unsigned kClone = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW;
    const Held tree(::open_tree(place.fd, place.name, kClone | (*place.name ? 0 : AT_EMPTY_PATH)));
    if (tree.failed()) return errno == ENOENT ? 0 : errno;
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0) return errno;
    return attach(tree.get(), place);
  }

  int bind_inside(const RootOperation& op) const {
    const Held source(openat2_in_root(root_, op.text.c_str(), O_PATH | O_NOFOLLOW));
    if (source.failed()) return errno;
    const Held tree(::open_tree(source.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
    return tree.failed() ? errno : attach_at(op, tree.get(), is_directory(tree.get()));
  }

  // Of a mount that was kept.
  int seal(const RootOperation& op) const {
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    return ::mount_setattr(base_of(op), "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ? errno : 0;
  }

  int make_pty(const RootOperation& op) const {
    const Held pts(openat2_in_root(root_, op.path.c_str(), O_PATH | O_DIRECTORY));
    if (pts.failed()) return errno;
    Terminal terminal;
    const TerminalSize size{plan_.console_rows, plan_.console_columns};
    if (int error = make_terminal(pts.get(), plan_.terminal_owner, size, &terminal)) return error;
    inputs_.terminal_master = terminal.master;
    inputs_.terminal_slave = terminal.slave;
    return 0;
  }

  RootInputs& inputs_;
  const RootPlan& plan_;
  const int root_, stage_;
  Held dev_, proc_;                    // kept file systems
  Held spare_file_, spare_directory_;  // covers that no mask has taken yet
};

// A directory for what the making needs and the sandbox must not see: it covers the old tree's /proc, which nobody needs any
// more, and leaves with the old root. Holds what masks are clones of, and the layers of an overlay.
int make_stage(const RootPlan& plan, int* stage) {
  if (::mount("bailey", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, plan.stage_data.c_str()) < 0) return errno;
  Held top(::open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (top.failed() || ::mkdirat(top.get(), kMaskDirectory, 0555) < 0) return errno;
  if (::mknodat(top.get(), kMaskFile, S_IFREG | 0444, 0) < 0) return errno;
  *stage = top.release();
  return 0;
}

// Whether nothing will be made in the overlay: --rootfs has every mount point itself. Those in /dev and the like are made in
// what is mounted there.
bool has_mount_points(const RootPlan& plan, int lower) {
  for (const RootOperation& op : plan.operations) {
    const bool covers = op.kind == Kind::mask || op.kind == Kind::read_only || op.kind == Kind::seal || op.kind == Kind::pty;
    if (covers || op.within != Within::foreign) continue;
    if (op.kind == Kind::symlink || op.kind == Kind::file) return false;
    const Held there(openat2_in_root(lower, op.path.c_str(), O_PATH));
    if (there.failed()) return false;
  }
  return true;
}

// An overlay over --rootfs: its files are the sandbox's own as far as locks, sockets and FIFOs go, and mount points that are
// missing appear in an in-memory layer, never in the user's directory. Without that layer it takes a third of the time.
int mount_overlay(const RootInputs& inputs, int stage) {
  const RootPlan& plan = *inputs.plan;
  const int lower = inputs.trees[plan.tree];
  const bool layer = !plan.read_only || !has_mount_points(plan, lower);
  for (const char* name : {"lower", "upper", "work"})
    if ((layer || *name != 'w') && ::mkdirat(stage, name, 0755) < 0) return errno;
  if (int error = attach(lower, {stage, "lower"})) return error;
  // Paths relative to the stage: nothing of the user's path can be mistaken for an option's separator. Read-only layers are two
  // at least, and the upper one stands for the root directory.
  if (::fchdir(stage) < 0) return errno;
  const char* layers = layer ? "lowerdir=lower,upperdir=upper,workdir=work,userxattr" : "lowerdir=upper:lower,userxattr";
  return ::mount("bailey", "/", "overlay", MS_NOSUID | MS_NODEV, layers) < 0 ? errno : 0;
}

}  // namespace

int enter_root(RootInputs& inputs, NewRoot* root) {
  // New mounts of the host shall not come in, ours shall not go out. Recursive: the namespace is a copy of all mounts.
  mount_attr attributes{};
  attributes.propagation = MS_PRIVATE;
  if (::mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes) < 0) return errno;
  const RootPlan& plan = *inputs.plan;
  if (int error = make_stage(plan, &root->stage)) return error;
  // On "/", the one directory that every host has: detached trees take no mounts before Linux 6.15, the new root needs a place.
  if (plan.overlay) {
    if (int error = mount_overlay(inputs, root->stage)) return error;
  } else if (plan.tree >= 0) {
    // An engine's own root: written through, where it says so.
    if (::move_mount(inputs.trees[plan.tree], "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0) return errno;
  } else if (::mount("bailey", "/", "tmpfs", MS_NOSUID | MS_NODEV, plan.data.c_str()) < 0) {
    return errno;
  }
  root->root = ::open("/..", O_PATH | O_DIRECTORY | O_CLOEXEC);  // ".." of a root leads to what is stacked on it
  if (root->root < 0) return errno;
  // What is cloned of the stage from here on is read-only; an overlay has clones of its own of its layers.
  attributes = {};
  attributes.attr_set = kMaskAttributes;
  return ::mount_setattr(root->stage, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ? errno : 0;
}

RootResult build_root(RootInputs& inputs, const NewRoot& root) {
  Builder builder(inputs, root);
  const auto& operations = inputs.plan->operations;
  for (size_t i = 0; i < operations.size(); ++i)
    if (int error = builder.execute(operations[i])) return {error, static_cast<int>(i)};
  return {};
}

int leave_old_root(int root, const RootPlan& plan) {
  if (plan.read_only) {
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (::mount_setattr(root, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) return errno;
  }
  // pivot_root(".", ".") stacks the old root on the new one, where umount2(".") finds it (pivot_root(2), NOTES).
  if (::fchdir(root) < 0 || pivot_root(".", ".") < 0 || ::umount2(".", MNT_DETACH) < 0) return errno;
  if (::chdir("/") < 0) return errno;
  if (plan.propagation && ::mount(nullptr, "/", nullptr, plan.propagation, nullptr) < 0) return errno;
  // ".." of a root follows what is stacked on it: anything of the host that was left there would be reached this way.
  struct stat above{}, here{};
  if (::stat("/..", &above) < 0 || ::fstat(root, &here) < 0) return errno;
  return above.st_dev == here.st_dev && above.st_ino == here.st_ino ? 0 : EXDEV;
}

}  // namespace bailey::native
