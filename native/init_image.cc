#include "native/init_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/files.h"
#include "init/image.h"

namespace bailey::native {

namespace {

constexpr unsigned kMemfdExecutable = 0x10;  // MFD_EXEC, Linux 6.3: says that this memfd is meant to be executed

}  // namespace

Result<Fd> create_init_image() {
  const auto image = init::init_image();
  int raw = ::memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING | kMemfdExecutable);
  if (raw < 0 && errno == EINVAL) raw = ::memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING);  // before Linux 6.3
  Fd fd(raw);
  if (!fd) return sys_error("creating a memfd for init", errno);
  TRY(files::write_fd(fd.get(), {reinterpret_cast<const char*>(image.data()), image.size()}, "init's memfd"));
  if (::fchmod(fd.get(), 0555) < 0) return sys_error("setting the mode of init's memfd", errno);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
    return sys_error("sealing init's memfd", errno);
  return fd;
}

}  // namespace bailey::native
