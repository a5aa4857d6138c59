#include "dispatcher/input_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/files.h"

namespace bailey::dispatcher {

namespace {

constexpr unsigned kMemfdNoExec = 0x8;  // MFD_NOEXEC_SEAL, Linux 6.3
constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Fd create_memory_file() {
  int raw = ::memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING | kMemfdNoExec);
  if (raw < 0 && errno == EINVAL) raw = ::memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return Fd(raw);
}

// Files of the kernel's say that they have no bytes. In /proc they are not even tried: what is read of some (kmsg) is taken.
bool is_at_end(int fd, off_t at) {
  struct statfs system{};
  char byte;
  return ::fstatfs(fd, &system) == 0 && system.f_type != PROC_SUPER_MAGIC && ::pread(fd, &byte, 1, at) == 0;
}

// False: it could not all be read, or there was more than expected.
bool copy(int from, off_t at, int to) {
  const off_t end = at + static_cast<off_t>(kInputCopyBytes);
  for (;;) {
    const ssize_t sent = ::sendfile(to, from, &at, kInputCopyBytes);
    if (sent == 0) return true;
    if (sent < 0 && errno != EINTR) return false;
    if (at > end) return false;  // it grows while it is read
  }
}

}  // namespace

Result<> check_input(int fd) {
  struct stat info{};
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fstat(fd, &info) != 0) return sys_error("looking at stdin", errno);
  if (S_ISDIR(info.st_mode)) return fail(Fault::bad_input, "-i: stdin is a directory", "give it a file, a pipe or a terminal");
  if ((flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH) != 0)
    return fail(Fault::bad_input, "-i: stdin is not open for reading", "open it for reading, or leave -i out");
  return {};
}

Fd copy_input_file(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return {};
  const off_t at = ::lseek(fd, 0, SEEK_CUR);
  if (at < 0) return {};
  const bool fits = info.st_size > at ? static_cast<uint64_t>(info.st_size - at) <= kInputCopyBytes : is_at_end(fd, at);
  if (!fits) return {};
  const Fd file = create_memory_file();
  if (!file || !copy(fd, at, file.get())) return {};
  if (::fchmod(file.get(), 0444) != 0 || ::fcntl(file.get(), F_ADD_SEALS, kSeals) != 0) return {};
  auto reader = files::open("/proc/self/fd/" + std::to_string(file.get()), O_RDONLY);
  return reader ? std::move(*reader) : Fd();
}

}  // namespace bailey::dispatcher
