#include "dispatcher/patience.h"

#include <cerrno>

namespace bailey::dispatcher {

Result<> PatienceUntil::until_ready(std::span<pollfd> fds) {
  for (;;) {
    const int ready = ::poll(fds.data(), fds.size(), deadline_.poll_ms());
    if (ready > 0) return {};
    if (ready == 0) return fail(Fault::failed, "it took too long");
    if (errno != EINTR) return sys_error("poll", errno);
  }
}

}  // namespace bailey::dispatcher
