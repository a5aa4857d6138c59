// Tries in DIR every way to a set-user-id or set-group-id file and to a device node, and says what came of each.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void tell(const char* what, long result) { printf("%s: %s\n", what, result < 0 ? strerror(errno) : "done"); }

static int fresh(const char* name) { return open(name, O_CREAT | O_RDWR, 0755); }

int main(int argc, char** argv) {
  if (argc != 2 || chdir(argv[1]) != 0) return perror("probe_setid DIR"), 1;
  umask(0);
  tell("open", open("opened", O_CREAT | O_RDWR, 04755));
  tell("openat", openat(AT_FDCWD, "opened-at", O_CREAT | O_RDWR, 02755));
  tell("creat", creat("created", 06755));
  tell("mknod of a file", mknod("made", S_IFREG | 04755, 0));
  tell("mknod of a device", mknod("device", S_IFCHR | 0666, makedev(1, 3)));
  tell("mknod of a whiteout", mknod("whiteout", S_IFCHR | 0666, makedev(0, 0)));
  tell("mknod of a disk", mknod("disk", S_IFBLK | 0666, makedev(254, 0)));
  tell("mkdir", mkdir("directory", 02755));
  if (fresh("chmod") >= 0) tell("chmod", chmod("chmod", 04755));
  tell("fchmod", fchmod(fresh("fchmod"), 06755));
  if (fresh("fchmodat") >= 0) tell("fchmodat", fchmodat(AT_FDCWD, "fchmodat", 02755, 0));
  if (fresh("fchmodat2") >= 0) tell("fchmodat2", syscall(452, AT_FDCWD, "fchmodat2", 04755, 0));
  if (mkdir("shared", 0755) == 0) tell("chmod of a directory", chmod("shared", 02755));
  struct {
    unsigned long long flags, mode, resolve;
  } how = {O_CREAT | O_RDWR, 04755, 0};  // struct open_how
  tell("openat2", syscall(437, AT_FDCWD, "opened-2", &how, sizeof how));
  const int unnamed = open(".", O_TMPFILE | O_RDWR, 04755);
  tell("O_TMPFILE", unnamed);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", unnamed);
  if (unnamed >= 0) tell("linkat of it", linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
  if (fresh("moved") >= 0) tell("rename with a whiteout", syscall(SYS_renameat2, AT_FDCWD, "moved", AT_FDCWD, "moved-to", 4));
  const unsigned char all[20] = {1, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255};
  if (fresh("file-caps") >= 0) tell("file capabilities", setxattr("file-caps", "security.capability", all, sizeof all, 0));
  return 0;
}
