#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace bailey::files {

namespace {

constexpr size_t kReadChunk = 8 << 10;

std::string quoted(std::string_view verb, std::string_view path) { return std::string(verb).append(" ").append(path); }

Result<Fd> openat2(int dir, const std::string& path, int flags, mode_t mode, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    const long fd = ::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof how);
    if (fd >= 0) return Fd(static_cast<int>(fd));
    // EAGAIN: a rename raced with the walk (openat2(2)); the kernel asks to try again.
    if (errno != EINTR && errno != EAGAIN) return sys_error(quoted("opening", path), errno);
  }
}

}  // namespace

Result<Fd> open(const std::string& path, int flags, mode_t mode) { return open_at(AT_FDCWD, path, flags, mode); }

Result<Fd> open_at(int dir, const std::string& path, int flags, mode_t mode) {
  for (;;) {
    const int fd = ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) return Fd(fd);
    if (errno != EINTR) return sys_error(quoted("opening", path), errno);
  }
}

Error bad_path(Error error, std::string_view what) {
  error = std::move(error).with(what);
  error.fault = Fault::bad_input;
  if (!error.remedy.empty()) return error;
  if (error.sys == ENOENT || error.sys == ENOTDIR || error.sys == EACCES)
    error.remedy = "give a path that exists and that you may reach";
  if (error.sys == EISDIR) error.remedy = "it is a directory: name a file";
  return error;
}

Result<Fd> open_beneath(int dir, const std::string& path, int flags, mode_t mode) {
  return openat2(dir, path, flags, mode, RESOLVE_BENEATH);
}

Result<Fd> open_in_root(int root, const std::string& path, int flags, mode_t mode) {
  return openat2(root, path, flags, mode, RESOLVE_IN_ROOT);
}

Result<Fd> open_in_root_without_links(int root, const std::string& path, int flags) {
  return openat2(root, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
}

Result<std::string> read_fd(int fd, size_t cap, std::string_view name) {
  std::string data;
  char chunk[kReadChunk];  // most files fit, and are then kept in what they need
  for (;;) {
    const ssize_t got = ::read(fd, chunk, sizeof chunk);
    if (got < 0) {
      if (errno == EINTR) continue;
      return sys_error(quoted("reading", name), errno);
    }
    if (got == 0) return data;
    data.append(chunk, static_cast<size_t>(got));
    if (data.size() > cap)
      return fail(Fault::bad_input, quoted("reading", name) + ": larger than " + std::to_string(cap) + " bytes");
  }
}

Result<std::string> read(const std::string& path, size_t cap) {
  const Fd fd = TRY(open(path, O_RDONLY | O_NOCTTY));
  return read_fd(fd.get(), cap, path);
}

Result<> write_fd(int fd, std::string_view data, std::string_view name) {
  while (!data.empty()) {
    const ssize_t put = ::write(fd, data.data(), data.size());
    if (put < 0) {
      if (errno == EINTR) continue;
      return sys_error(quoted("writing", name), errno);
    }
    data.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

Result<> write_existing(int dir, const std::string& path, std::string_view data) {
  const Fd fd = TRY(open_at(dir, path, O_WRONLY | O_TRUNC | O_NOCTTY));
  ssize_t put = -1;
  do {
    put = ::write(fd.get(), data.data(), data.size());
  } while (put < 0 && errno == EINTR);
  if (put < 0) return sys_error("writing '" + std::string(data) + "' to " + path, errno);
  if (static_cast<size_t>(put) != data.size()) return fail(Fault::failed, "writing to " + path + ": taken only in part");
  return {};
}

namespace {

// The temporary file, empty and locked by us. One name for all writers, so that those that were killed leave one file at most.
Result<Fd> lock_temporary(int dir, const std::string& name, mode_t mode) {
  for (;;) {
    auto fd = open_at(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
    const bool is_other = !fd && (fd.error().sys == ELOOP || fd.error().sys == ENXIO || fd.error().sys == EISDIR);
    if (!fd && !is_other) return fd;
    struct stat ours{}, there{};
    if (is_other || ::fstat(fd->get(), &ours) < 0 || !S_ISREG(ours.st_mode)) {  // no file of ours
      TRY(remove_tree(dir, name));
      continue;
    }
    while (::flock(fd->get(), LOCK_EX) < 0)
      if (errno != EINTR) return sys_error(quoted("locking", name), errno);
    // Another writer may have renamed it while we waited.
    const bool still_there = ::fstatat(dir, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (!still_there || there.st_ino != ours.st_ino || there.st_dev != ours.st_dev) continue;
    if (::ftruncate(fd->get(), 0) < 0) return sys_error(quoted("emptying", name), errno);
    return fd;
  }
}

}  // namespace

Result<> write_atomically(int dir, const std::string& name, std::string_view data, mode_t mode) {
  const std::string temporary = "." + name + ".new";
  const Fd fd = TRY(lock_temporary(dir, temporary, mode));
  auto written = [&]() -> Result<> {
    if (::fchmod(fd.get(), mode) < 0) return sys_error(quoted("setting the mode of", temporary), errno);
    TRY(write_fd(fd.get(), data, name));
    if (::fsync(fd.get()) < 0) return sys_error(quoted("syncing", name), errno);
    if (::renameat(dir, temporary.c_str(), dir, name.c_str()) < 0) return sys_error(quoted("renaming to", name), errno);
    return {};
  }();
  if (!written) {
    ::unlinkat(dir, temporary.c_str(), 0);
    return written;
  }
  if (::fsync(dir) < 0 && errno != EINVAL) return sys_error("syncing the directory of " + name, errno);
  return {};
}

Result<> create_directories(const std::string& path, mode_t mode) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), mode) == 0) {
      if (::chmod(part.c_str(), mode) < 0) return sys_error(quoted("setting the mode of", part), errno);
    } else if (errno != EEXIST) {
      return sys_error(quoted("creating the directory", part), errno);
    }
    if (end == std::string::npos) return {};
  }
}

Result<std::vector<std::string>> list(int dir) {
  Fd copy = TRY(open_at(dir, ".", O_RDONLY | O_DIRECTORY));
  DIR* stream = ::fdopendir(copy.get());
  if (!stream) return sys_error("listing a directory", errno);
  (void)copy.release();
  std::vector<std::string> names;
  int err = 0;
  for (;;) {
    errno = 0;  // the end of the directory leaves it as it is (readdir(3))
    const dirent* entry = ::readdir(stream);
    if (!entry) {
      err = errno;
      break;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  if (err) return sys_error("listing a directory", err);
  std::ranges::sort(names);
  return names;
}

Result<> remove_tree(int dir, const std::string& name) {
  if (::unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  const int refused = errno;
  if (refused != EISDIR && refused != EPERM) return sys_error(quoted("removing", name), refused);
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  const Fd below(static_cast<int>(::syscall(SYS_openat2, dir, name.c_str(), &how, sizeof how)));
  if (!below) {
    if (errno == ENOENT) return {};
    auto failed = sys_error(quoted("removing", name), errno == ENOTDIR ? refused : errno);  // no directory: the refusal is why
    if (failed.error().sys == EXDEV) failed.error().remedy = "something is mounted there: unmount it";
    return failed;
  }
  for (const std::string& entry : TRY(list(below.get()))) TRY_WITH(remove_tree(below.get(), entry), quoted("removing", name));
  if (::unlinkat(dir, name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) return sys_error(quoted("removing", name), errno);
  return {};
}

Result<struct stat> stat_fd(int fd, std::string_view name) {
  struct stat st{};
  if (::fstatat(fd, "", &st, AT_EMPTY_PATH) < 0) return sys_error(quoted("reading the status of", name), errno);
  return st;
}

Result<std::string> readlink(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
  if (length < 0) return sys_error(quoted("reading the link", path), errno);
  return std::string(target, static_cast<size_t>(length));
}

Result<uint64_t> file_system_type(int fd) {
  struct statfs st{};
  if (::fstatfs(fd, &st) < 0) return sys_error("reading the file system type", errno);
  return static_cast<uint64_t>(st.f_type);
}

}  // namespace bailey::files
