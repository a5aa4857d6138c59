#include "native/root/pty.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "native/root/places.h"

namespace bailey::native {

int make_terminal(int pts, uid_t owner, TerminalSize size, Terminal* terminal) {
  struct statfs about{};
  if (::fstatfs(pts, &about) < 0) return errno;
  if (about.f_type != DEVPTS_SUPER_MAGIC) return EINVAL;
  Held master(::openat(pts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW));
  if (master.failed()) return errno;
  int unlocked = 0;
  if (::ioctl(master.get(), TIOCSPTLCK, &unlocked) < 0) return errno;
  Held slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (slave.failed()) return errno;
  if (owner != 0 && ::fchown(slave.get(), owner, static_cast<gid_t>(-1)) < 0) return errno;
  winsize dimensions{};
  dimensions.ws_row = static_cast<unsigned short>(size.rows);
  dimensions.ws_col = static_cast<unsigned short>(size.columns);
  if (size.rows && ::ioctl(master.get(), TIOCSWINSZ, &dimensions) < 0) return errno;
  terminal->master = master.release();
  terminal->slave = slave.release();
  return 0;
}

}  // namespace bailey::native
