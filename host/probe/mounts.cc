#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/files.h"
#include "host/probe/probe.h"
#include "host/probe/trial.h"

// glibc 2.36 declares the calls in <sys/mount.h>, which clashes with <linux/mount.h>.
extern "C" int mount(const char*, const char*, const char*, unsigned long, const void*) noexcept;

namespace bailey::host {

namespace {

using State = Probe::State;

constexpr unsigned kRecursive = 0x8000;   // AT_RECURSIVE
constexpr unsigned kEmptyPath = 0x1000;   // AT_EMPTY_PATH
constexpr const char* kScratch = "/tmp";  // covered in a mount namespace of the trial's own

long fs_config(int fs, unsigned command, const char* key, const char* value) {
  return ::syscall(SYS_fsconfig, fs, command, key, value, 0);
}

// A detached mount of `type`; -1 and the failed step otherwise.
int new_mount(TrialSteps& step, const char* type, const char* flag) {
  const Fd fs(static_cast<int>(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)));
  if (!step(static_cast<bool>(fs), "fsopen")) return -1;
  if (flag && !step(fs_config(fs.get(), FSCONFIG_SET_FLAG, flag, nullptr) == 0, flag)) return -1;
  if (!step(fs_config(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr) == 0, "fsconfig")) return -1;
  const int mount_fd = static_cast<int>(::syscall(SYS_fsmount, fs.get(), FSMOUNT_CLOEXEC, 0));
  step(mount_fd >= 0, "fsmount");
  return mount_fd;
}

// A child in a user namespace with maps, which waits until `hold` is closed; its namespace answers.
Fd open_foreign_user_namespace(TrialSteps& step) {
  auto to_child = create_pipe(), from_child = create_pipe();
  if (!step(to_child && from_child, "pipe")) return {};
  const pid_t child = ::fork();
  if (!step(child >= 0, "fork")) return {};
  if (child == 0) {
    to_child->write.reset();
    char byte = ::unshare(CLONE_NEWUSER) == 0 ? 'y' : 'n';
    (void)!::write(from_child->write.get(), &byte, 1);
    (void)!::read(to_child->read.get(), &byte, 1);
    ::_exit(0);
  }
  char byte = 'n';
  const bool ready = ::read(from_child->read.get(), &byte, 1) == 1 && byte == 'y';
  const std::string proc = "/proc/" + std::to_string(child);
  Fd user_namespace;
  if (step(ready, "unshare")) {
    for (const char* map : {"/uid_map", "/gid_map"})
      if (auto written = files::write_existing(AT_FDCWD, proc + map, "0 100000 65536"); !written)
        step.fail("uid_map", written.error().sys);
    if (auto fd = files::open(proc + "/ns/user", O_RDONLY)) user_namespace = std::move(*fd);
  }
  to_child->write.reset();
  (void)await_child(child);
  return user_namespace;
}

}  // namespace

Probe probe_mount_api() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    if (!enter_user_namespace(step, CLONE_NEWNS)) return;
    const Fd tmpfs(new_mount(step, "tmpfs", nullptr));
    if (!tmpfs) return;
    if (!step(::syscall(SYS_move_mount, tmpfs.get(), "", AT_FDCWD, kScratch, MOVE_MOUNT_F_EMPTY_PATH) == 0, "move_mount"))
      return;
    const Fd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | kRecursive)));
    if (!step(static_cast<bool>(tree), "open_tree")) return;
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
    step(::syscall(SYS_mount_setattr, tree.get(), "", kEmptyPath | kRecursive, &attributes, sizeof attributes) == 0,
         "mount_setattr");
  });
  if (trial.ok()) return {"mount API", State::ok, "fsopen, open_tree, move_mount, mount_setattr", "", ""};
  return {
      "mount API", State::missing, trial.text(), "no native sandbox",
      trial.err == ENOSYS ? "Linux 5.12, or a seccomp profile that lets the new mount calls through" : "see 'user namespaces'"};
}

Probe probe_openat2() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    step(::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how) >= 0, "openat2");
  });
  if (trial.ok()) return {"openat2", State::ok, "works", "", ""};
  return {"openat2", State::missing, trial.text(), "no sandbox at all: paths below foreign directories are opened with it only",
          "Linux 5.6, or a seccomp profile that lets openat2 through"};
}

Probe probe_overlay() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    if (!enter_user_namespace(step, CLONE_NEWNS)) return;
    if (!step(::mount("tmpfs", kScratch, "tmpfs", 0, nullptr) == 0, "tmpfs")) return;
    for (const char* name : {"lower", "upper", "work", "merged"})
      if (!step(::mkdir((std::string(kScratch) + "/" + name).c_str(), 0755) == 0, "mkdir")) return;
    step(::mount("overlay", "/tmp/merged", "overlay", 0,
                 "userxattr,lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work") == 0,
         "overlay");
  });
  if (trial.ok()) return {"overlayfs", State::ok, "in a user namespace", "", ""};
  return {"overlayfs", State::degraded, trial.text(), "native: no --rootfs",
          trial.err == ENODEV ? "load the overlay module" : "Linux 5.11, or use gVisor, which overlays by itself"};
}

Probe probe_idmapped_mounts(const std::string& directory) {
  const std::string name = "id-mapped mounts";
  if (::geteuid() != 0)
    return {name, State::ok, "not needed: what is written in an ordinary user's volume is that user's", "", ""};
  const Trial trial = try_in_child([&](TrialSteps& step) {
    const Fd user_namespace = open_foreign_user_namespace(step);
    if (step.err || !step(static_cast<bool>(user_namespace), "open ns/user")) return;
    const Fd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, directory.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    if (!step(static_cast<bool>(tree), "open_tree")) return;
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<uint64_t>(user_namespace.get());
    step(::syscall(SYS_mount_setattr, tree.get(), "", kEmptyPath, &attributes, sizeof attributes) == 0, "mount_setattr");
  });
  if (trial.ok()) return {name, State::ok, "on the file system of " + directory, "", ""};
  return {name, State::degraded, trial.text() + " on " + directory,
          "native, as root: no volume and no --rootfs from that file system",
          "a file system that can (ext4, xfs, btrfs, tmpfs of Linux 6.3; never overlay), or gVisor, which maps none"};
}

Probe probe_unswappable_tmpfs() {
  const std::string name = "unswappable tmpfs";
  const Trial noswap = try_in_child([](TrialSteps& step) { (void)!Fd(new_mount(step, "tmpfs", "noswap")); });
  if (noswap.ok()) return {name, State::ok, "tmpfs with noswap", "", ""};
  const Trial ramfs = try_in_child([](TrialSteps& step) {
    if (enter_user_namespace(step, CLONE_NEWNS)) (void)!Fd(new_mount(step, "ramfs", nullptr));
  });
  if (ramfs.ok() && ::geteuid() != 0) return {name, State::ok, "ramfs, in the sandbox's user namespace", "", ""};
  return {name, State::missing, "noswap: " + noswap.text(), "no --secret", "Linux 6.3"};
}

}  // namespace bailey::host
