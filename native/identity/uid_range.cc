#include "native/identity/uid_range.h"

namespace bailey::native {

namespace {
constexpr const char* kFile = ".uid-ranges";  // the dot keeps it apart from the sandboxes, which are named without
}

Result<UidRange> UidRange::create(int directory) {
  auto slot = TRY_WITH(Slot::take(directory, kFile, kSlots), "reserving a range of user ids");
  if (!slot)
    return fail(Fault::unavailable, "all " + std::to_string(kSlots) + " ranges of user ids are in use",
                "end some sandboxes first");
  UidRange range;
  range.slot_ = std::move(*slot);
  return range;
}

}  // namespace bailey::native
