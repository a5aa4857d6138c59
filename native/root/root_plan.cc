#include "native/root/root_plan.h"

namespace bailey::native {

// The parents are ours, so the name is what follows them: all of a path below the root, the last component below /dev and
// /proc.
const char* RootOperation::name() const {
  constexpr size_t kParents[] = {0, 1, sizeof "/dev/" - 1, sizeof "/proc/" - 1};
  return path.c_str() + kParents[static_cast<size_t>(within)];
}

}  // namespace bailey::native
