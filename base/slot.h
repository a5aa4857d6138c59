// Slot: one of a small number of things that only one holder may have, as a byte of a file held by an open-file-description
// lock (fcntl(2), F_OFD_SETLK, Linux 3.15). The kernel frees it when the last process that holds the descriptor dies: a killed
// Bailey loses none and gc has nothing to do.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace bailey {

class Slot {
 public:
  Slot() = default;
  // A free one of 0 ... count-1, looked for from a random one on, so that what one holder left behind (a closing connection, a
  // file's owner) does not meet the next. `file` is made when missing; `directory` is a descriptor. Nothing: all are taken.
  // `is_free`: asked of one whose lock was just taken, where there are other reasons why it may not be had.
  static Result<std::optional<Slot>> take(int directory, const std::string& file, uint32_t count,
                                          const std::function<bool(uint32_t)>& is_free = {});
  // That one. Nothing: somebody has it.
  static Result<std::optional<Slot>> take_number(int directory, const std::string& file, uint32_t number);

  // Has anybody that one? `file`: a descriptor of the locks' file, whose own locks are not seen.
  static Result<bool> is_held(int file, uint32_t number);

  int fd() const { return lock_.get(); }  // a copy in another process holds the slot as well
  uint32_t number() const { return number_; }
  explicit operator bool() const { return static_cast<bool>(lock_); }

 private:
  Fd lock_;
  uint32_t number_ = 0;
};

}  // namespace bailey
