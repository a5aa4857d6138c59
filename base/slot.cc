#include "base/slot.h"

#include <fcntl.h>
#include <sys/random.h>

#include <cerrno>

#include "base/files.h"

namespace bailey {

namespace {

Result<Fd> open_file(int directory, const std::string& file) {
  auto fd = files::open_at(directory, file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (fd) return fd;
  const auto path = files::readlink("/proc/self/fd/" + std::to_string(directory));
  return std::unexpected(std::move(fd).error().with(path.value_or("the runtime directory")));
}

struct flock byte_lock(uint32_t number) {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = number;
  lock.l_len = 1;
  return lock;
}

Result<bool> lock_byte(const Fd& fd, uint32_t number) {
  struct flock lock = byte_lock(number);
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  return sys_error("locking a slot", errno);
}

Result<> unlock_byte(const Fd& fd, uint32_t number) {
  struct flock lock = byte_lock(number);
  lock.l_type = F_UNLCK;
  return ::fcntl(fd.get(), F_OFD_SETLK, &lock) == 0 ? Result<>() : sys_error("giving back a slot", errno);
}

}  // namespace

Result<std::optional<Slot>> Slot::take(int directory, const std::string& file, uint32_t count,
                                       const std::function<bool(uint32_t)>& is_free) {
  Slot slot;
  slot.lock_ = TRY(open_file(directory, file));
  uint32_t start = 0;
  if (::getrandom(&start, sizeof start, 0) != sizeof start) return sys_error("getrandom", errno);
  for (uint32_t i = 0; i < count; ++i) {
    slot.number_ = (start % count + i) % count;
    if (!TRY(lock_byte(slot.lock_, slot.number_))) continue;
    if (!is_free || is_free(slot.number_)) return slot;
    TRY(unlock_byte(slot.lock_, slot.number_));
  }
  return std::nullopt;
}

Result<std::optional<Slot>> Slot::take_number(int directory, const std::string& file, uint32_t number) {
  Slot slot;
  slot.lock_ = TRY(open_file(directory, file));
  slot.number_ = number;
  if (!TRY(lock_byte(slot.lock_, number))) return std::nullopt;
  return slot;
}

Result<bool> Slot::is_held(int file, uint32_t number) {
  struct flock lock = byte_lock(number);
  if (::fcntl(file, F_OFD_GETLK, &lock) < 0) return sys_error("looking at a slot's lock", errno);
  return lock.l_type != F_UNLCK;
}

}  // namespace bailey
