#include "tests/contract/file_systems.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/command.h"
#include "tests/contract/ordinary_user.h"
#include "tests/support/require.h"

namespace bailey::tests {

namespace {

bool tell(const std::string& what, const std::string& why = std::strerror(errno)) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), why.c_str());
  return false;
}

bool succeeds(const std::string& program, const std::vector<std::string>& arguments) {
  const auto done = run_command({.program = find_program(program), .arguments = arguments, .environment = {}});
  if (!done) return tell(program, done.error().message);
  return done->exit_code == 0 || tell(program, done->err);
}

bool mount_ext4(const std::string& directory, const std::string& owner) {
  const std::string image = directory + "/image", place = directory + "/ext4";
  if (!std::ofstream(image) || ::truncate(image.c_str(), 4 << 20) != 0) return tell(image);
  if (!succeeds("mkfs.ext4", {"-q", "-O", "^has_journal", "-E", "root_owner=" + owner, image})) return false;
  if (!succeeds("mount", {"-o", "loop", image, place})) return false;
  return ::rmdir((place + "/lost+found").c_str()) == 0 || tell("lost+found");
}

bool mount_overlay(const std::string& directory) {
  const std::string layers = directory + "/layers";
  if (::mkdir(layers.c_str(), 0755) != 0 || ::mount("tmpfs", layers.c_str(), "tmpfs", 0, "size=1m") != 0) return tell(layers);
  for (const char* name : {"/lower", "/upper", "/work"})
    if (::mkdir((layers + name).c_str(), 0755) != 0) return tell(layers + name);
  const std::string options = "lowerdir=" + layers + "/lower,upperdir=" + layers + "/upper,workdir=" + layers + "/work";
  return ::mount("overlay", (directory + "/overlay").c_str(), "overlay", 0, options.c_str()) == 0 || tell("overlay");
}

}  // namespace

bool mount_file_systems(const std::string& directory, uid_t uid, gid_t gid) {
  for (const char* name : FileSystems::kNames)
    if (::mkdir((directory + "/" + name).c_str(), 0755) != 0) return tell(name);
  if (!mount_ext4(directory, std::to_string(uid) + ":" + std::to_string(gid)) || !mount_overlay(directory)) return false;
  if (::mount("tmpfs", (directory + "/tmpfs").c_str(), "tmpfs", 0, "size=1m,mode=0755") != 0) return tell("tmpfs");
  for (const char* name : FileSystems::kNames)
    if (::chown((directory + "/" + name).c_str(), uid, gid) != 0 || ::chmod((directory + "/" + name).c_str(), 0755) != 0)
      return tell(name);
  return true;
}

bool unmount_file_systems(const std::string& directory) {
  bool all = true;
  for (const char* name : {"overlay", "layers", "tmpfs", "ext4"})
    if (::umount2((directory + "/" + name).c_str(), 0) != 0 && errno != EINVAL && errno != ENOENT) all = tell(name);
  for (const char* name : {"overlay", "layers", "tmpfs", "ext4"}) ::rmdir((directory + "/" + name).c_str());
  ::unlink((directory + "/image").c_str());
  return all;
}

FileSystems::FileSystems() {
  ready_ = caller() == Caller::root ? mount_file_systems(directory_.path(), ::geteuid(), ::getegid())
                                    : ask_root('m', directory_.path());
}

FileSystems::~FileSystems() {
  if (caller() == Caller::root) unmount_file_systems(directory_.path());
  else ask_root('u', directory_.path());
}

}  // namespace bailey::tests
