// The channel to an init that outlives the process which made it: two FIFOs (fifo(7)) in the sandbox's state directory. init
// opens both for reading and writing, so it never sees an end of file. The owner of the sandbox opens the other ends by name.
// Messages that nobody reads stay in the FIFO until init exits, and are lost then.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace bailey::init {

struct NamedChannel {
  Fd to_init, from_init;
};
// Makes them in `directory`, for this user alone, and opens init's ends.
Result<NamedChannel> create_named_channel(int directory);
// The owner's ends, O_NONBLOCK. Error: they are not there, or no init has them open.
Result<NamedChannel> open_named_channel(int directory);
// The same; empty ones where no init has them open: it is ending, or the workload has taken its place.
Result<NamedChannel> find_named_channel(int directory);

}  // namespace bailey::init
