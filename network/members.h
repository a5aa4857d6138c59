// Members: who is on which shared network (`--net bridge:NAME`), as a file of the runtime directory with a record for each
// slot:
//
//   at slot * 128:   network[56] since[8] host[64]     each text with NULs behind it; the network with its bridge's name,
//                                                      "bailey0/NAME"; the host's clock when it joined, in its byte order
//
// A record is its slot's holder's: it counts while somebody holds the slot, and whoever takes the slot clears what the one
// before left. So nothing is left of who is killed. Nobody is let in by this file: that takes both filters' consent
// (network/filter/firewall.h, meet()).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::network {

struct Member {
  uint32_t slot = 0;
  std::string host;  // its name for others (label_of()); may be empty
};

// A host name as others of a shared network may call it: lower case, one label that no address is written like. Empty: it has
// dots, is none, or is everybody's (localhost, and what who gave none is called). Pure.
std::string label_of(std::string_view hostname);

class Members {
 public:
  Members() = default;
  // `directory`: the runtime directory's descriptor. `slots`: the file in it that holds the locks (base/slot.h).
  static Result<Members> open(int directory, const std::string& slots);
  // Clears the record of a slot that the caller has just taken. Fine when there never was a shared network.
  static Result<> clear(int directory, uint32_t slot);

  // Of a slot that the caller holds. Texts of 55 and 63 characters at most. Seen by all others() that begin when this is done.
  Result<> enter(uint32_t slot, const std::string& network, const std::string& host);
  // The other way: what is left of the holder keeps the slot for a moment longer. Killed, it is not said, and nothing is worse.
  void leave(uint32_t slot);
  // Those of that network who live, but for `self`, in the order in which they joined.
  Result<std::vector<Member>> others(const std::string& network, uint32_t self) const;

  explicit operator bool() const { return static_cast<bool>(file_); }

 private:
  Fd file_, slots_;
};

}  // namespace bailey::network
