// Owner: whose the bridge, the ports and the filters of a network namespace are. Baileys with one runtime directory share the
// locks that say which slots are in use; those of another one know nothing about them. What bears another mark or none is
// never removed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bailey::network {

struct Owner {
  // "bailey 0:26:1234", the runtime directory's device and inode: the same by whatever path it is reached, and another one
  // where a mount namespace has its own /run. It may be used again when the directory is gone.
  std::string mark;
  int directory = -1;  // the caller's, as long as this is used; -1: none

  // `directory`: the runtime directory's descriptor.
  static Result<Owner> of(int directory);
  // What stands on what it makes: the mark, and for people the directory's path behind it.
  std::string words() const;
  // Do those words, of whoever's making, say that it is this owner's?
  bool made(std::string_view words) const;
};

// The refusal of what bears other words or none: `what` ("link bly7") with the command that removes it.
std::unexpected<Error> in_the_way(const std::string& what, const std::string& command);

// The slot in a name that is `prefix` and a number as std::to_string() writes it; nothing in another one.
std::optional<uint32_t> slot_in(std::string_view name, std::string_view prefix);

// Was something with those words made by a Bailey, and where was its runtime directory? Empty when it does not say.
bool made_by_bailey(std::string_view words);
std::string_view directory_in(std::string_view words);

}  // namespace bailey::network
