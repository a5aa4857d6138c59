// Members: who is on which shared network (`--net bridge:NAME`), as a file of the runtime directory with a record for each
// slot:
//
//   at slot * 128:   network[64] host[64]     each text with NULs behind it; the network with its bridge's name, "bailey0/NAME"
//
// A record is its slot's holder's: it counts while somebody holds the slot, and whoever takes the slot clears what the one
// before left. So who leaves, or is killed, does nothing. Nobody is let in by this file: that takes both filters' consent
// (network/firewall.h, meet()).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::network {

struct Member {
  uint32_t slot = 0;
  std::string host;  // its host name; may be empty
};

class Members {
 public:
  Members() = default;
  // `directory`: the runtime directory's descriptor. `slots`: the file in it that holds the locks (base/slot.h).
  static Result<Members> open(int directory, const std::string& slots);
  // Clears the record of a slot that the caller has just taken. Fine when there never was a shared network.
  static Result<> clear(int directory, uint32_t slot);

  // Of a slot that the caller holds. Both texts have 63 characters at most. Seen by all others() that begin when this is done.
  Result<> enter(uint32_t slot, const std::string& network, const std::string& host);
  // Those of that network who live, in the order of their slots, but for `self`.
  Result<std::vector<Member>> others(const std::string& network, uint32_t self) const;

  explicit operator bool() const { return static_cast<bool>(file_); }

 private:
  Fd file_, slots_;
};

}  // namespace bailey::network
