#include "native/uid_range.h"

#include <fcntl.h>
#include <sys/random.h>

#include <cerrno>

#include "base/files.h"

namespace bailey::native {

namespace {
constexpr const char* kFile = ".uid-ranges";  // the dot keeps it apart from the sandboxes, which are named without
}

Result<UidRange> UidRange::create(int directory) {
  UidRange range;
  range.lock_ =
      TRY_WITH(files::open_at(directory, kFile, O_RDWR | O_CREAT | O_NOFOLLOW, 0600), "reserving a range of user ids");
  uint32_t start = 0;
  if (::getrandom(&start, sizeof start, 0) != sizeof start) return sys_error("reserving a range of user ids", errno);
  for (uint32_t i = 0; i < kSlots; ++i) {
    const uint32_t slot = (start % kSlots + i) % kSlots;
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = slot;
    lock.l_len = 1;
    if (::fcntl(range.lock_.get(), F_OFD_SETLK, &lock) == 0) {
      range.first_ = kFirst + slot * kSize;
      return range;
    }
    if (errno != EAGAIN && errno != EACCES) return sys_error("locking a range of user ids", errno);
  }
  return fail(Fault::unavailable, "all " + std::to_string(kSlots) + " ranges of user ids are in use",
              "end some sandboxes first");
}

}  // namespace bailey::native
