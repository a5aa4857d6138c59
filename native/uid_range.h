// UidRange: 65536 host ids that belong to one sandbox for as long as it lives, so that no two sandboxes share a user.
//
//   inner 0 ... 65535  ->  kFirst + slot * 65536 ...        slot 0 ... kSlots-1
//
// A slot is a byte of one file in the runtime directory, held by an open-file-description lock (fcntl(2), F_OFD_SETLK): the
// kernel frees it when the last process that holds the descriptor dies, so a killed Bailey loses none and gc has nothing to do.
// The range lies above what systemd-nspawn takes (524288-1879048191) and what /etc/subuid gives out on Debian. Root only.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::native {

class UidRange {
 public:
  static constexpr uint32_t kFirst = 0x70000000;
  static constexpr uint32_t kSize = 65536;
  static constexpr uint32_t kSlots = 4095;

  UidRange() = default;
  // The first free slot from a random start on. `directory`: the runtime directory's descriptor. Error when all are taken.
  static Result<UidRange> create(int directory);

  uint32_t first() const { return first_; }
  uint32_t host_id(uint32_t inner) const { return first_ + inner; }

 private:
  Fd lock_;
  uint32_t first_ = 0;
};

}  // namespace bailey::native
