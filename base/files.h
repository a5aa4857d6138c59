// Files: reading with a cap, writing whole or not at all, and opening below a directory that somebody else controls.
// Paths under foreign control are only ever opened through open_beneath or open_in_root (openat2, Linux 5.6): the kernel
// refuses the escape, so that there is no window between check and use. No privileges beyond the files' own.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::files {

// open(2) with O_CLOEXEC added. Relative to `dir` when it is not AT_FDCWD.
Result<Fd> open(const std::string& path, int flags, mode_t mode = 0);
Result<Fd> open_at(int dir, const std::string& path, int flags, mode_t mode = 0);
// Of a path that the caller named for `what`, a flag or a document: Fault::bad_input, and what to do about it.
Error bad_path(Error error, std::string_view what);
// openat2 with RESOLVE_BENEATH (".." and absolute links are errors) / RESOLVE_IN_ROOT (they stay inside), both with
// RESOLVE_NO_MAGICLINKS (/proc/self/fd/N and the like are errors).
Result<Fd> open_beneath(int dir, const std::string& path, int flags, mode_t mode = 0);
Result<Fd> open_in_root(int root, const std::string& path, int flags, mode_t mode = 0);
// As open_in_root, but a link anywhere on the way is an error (ELOOP).
Result<Fd> open_in_root_without_links(int root, const std::string& path, int flags);

// Whole contents; `cap` bytes at most, more is an error that names the cap.
Result<std::string> read(const std::string& path, size_t cap);
Result<std::string> read_fd(int fd, size_t cap, std::string_view name);

// Writes all of it, EINTR and short writes included.
Result<> write_fd(int fd, std::string_view data, std::string_view name);
// open(O_WRONLY|O_TRUNC) + write in one call, for kernel files (one write(2), so that cgroup and proc take it whole).
Result<> write_existing(int dir, const std::string& path, std::string_view data);
// Temporary file in the same directory, write, fsync, rename, fsync of the directory: a reader sees old or new, never half. Of
// several writers at once each waits for the one before it; the last one's stays.
Result<> write_atomically(int dir, const std::string& name, std::string_view data, mode_t mode);

// mkdir -p; existing directories are left as they are. New ones get `mode` regardless of the umask.
Result<> create_directories(const std::string& path, mode_t mode);
// rm -r of `name` below `dir`, never following a link, never crossing into another file system. ENOENT is success.
Result<> remove_tree(int dir, const std::string& name);
// Names without . and .., sorted: all of them, or an error.
Result<std::vector<std::string>> list(int dir);

Result<struct stat> stat_fd(int fd, std::string_view name);
Result<std::string> readlink(const std::string& path);
// f_type of statfs(2): compare with CGROUP2_SUPER_MAGIC and friends of <linux/magic.h>.
Result<uint64_t> file_system_type(int fd);

}  // namespace bailey::files
