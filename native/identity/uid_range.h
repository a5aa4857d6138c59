// UidRange: 65536 host ids that belong to one sandbox for as long as it lives, so that no two sandboxes share a user.
//
//   inner 0 ... 65535  ->  kFirst + slot * 65536 ...        slot 0 ... kSlots-1
//
// The slots (base/slot.h) are bytes of one file in the runtime directory. The range lies above what systemd-nspawn takes
// (524288-1879048191) and what /etc/subuid gives out on Debian. Root only.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/slot.h"

namespace bailey::native {

class UidRange {
 public:
  static constexpr uint32_t kFirst = 0x70000000;
  static constexpr uint32_t kSize = 65536;
  static constexpr uint32_t kSlots = 4095;

  UidRange() = default;
  // The first free slot from a random start on. `directory`: the runtime directory's descriptor. Error when all are taken.
  static Result<UidRange> create(int directory);

  // The range stays taken as long as `directory` has an entry of that name: the state of a sandbox that goes on without this
  // process. By a symbolic link, .kept-uid-range-N -> NAME, which goes with the entry (dispatcher/state_store.h). `directory`:
  // opened for this call; a lock on it is taken, and goes with it.
  Result<> keep(int directory, const std::string& name) const;

  uint32_t first() const { return kFirst + slot_.number() * kSize; }
  uint32_t host_id(uint32_t inner) const { return first() + inner; }

 private:
  Slot slot_;
};

}  // namespace bailey::native
