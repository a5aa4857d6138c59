// A terminal of a sandbox's own. Runs between clone and exec: allocates nothing.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace bailey::native {

struct Terminal {
  int master = -1, slave = -1;
};
struct TerminalSize {
  uint32_t rows = 0, columns = 0;  // 0: the kernel's
};
// In the devpts that `pts` is (EINVAL for another file system). The slave belongs to `owner` and is opened through the master
// (TIOCGPTPEER, Linux 4.13): no path of the sandbox is followed (CVE-2025-52565). 0 or an errno; the caller owns both.
int make_terminal(int pts, uid_t owner, TerminalSize size, Terminal* terminal);

}  // namespace bailey::native
