#include "native/identity/uid_range.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace bailey::native {

namespace {

constexpr const char* kFile = ".uid-ranges";  // the dot keeps it apart from the sandboxes, which are named without

std::string link_name(uint32_t slot) { return ".kept-uid-range-" + std::to_string(slot); }

// stat(2) follows the link to the sandbox's state.
bool is_kept(int directory, uint32_t slot) {
  struct stat state{};
  return ::fstatat(directory, link_name(slot).c_str(), &state, 0) == 0;
}

}  // namespace

Result<UidRange> UidRange::create(int directory) {
  std::optional<Slot> slot;
  const auto is_free = [directory](uint32_t number) { return !is_kept(directory, number); };
  slot = TRY_WITH(Slot::take(directory, kFile, kSlots, is_free), "reserving a range of user ids");
  if (!slot)
    return fail(Fault::unavailable, "all " + std::to_string(kSlots) + " ranges of user ids are in use",
                "end some sandboxes first");
  UidRange range;
  range.slot_ = std::move(*slot);
  return range;
}

// Under the slot's lock, as the look at it is.
Result<> UidRange::keep(int directory, const std::string& name) const {
  const std::string link = link_name(slot_.number());
  // Against gc, which removes links to sandboxes that are gone (dispatcher/state_store.cc).
  while (::flock(directory, LOCK_SH) != 0)
    if (errno != EINTR) return sys_error("locking the runtime directory", errno);
  ::unlinkat(directory, link.c_str(), 0);
  if (::symlinkat(name.c_str(), directory, link.c_str()) != 0) return sys_error("keeping a range of user ids", errno);
  return {};
}

}  // namespace bailey::native
