#include "plain_channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "init/encode.h"

namespace bailey::tests {

using namespace init;

namespace {

// One message of a socket, or some bytes of a pipe.
ssize_t send_some(int fd, std::string_view bytes) {
  ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno == ENOTSOCK) sent = ::write(fd, bytes.data(), bytes.size());
  return sent;
}

Result<> send_all(int fd, std::string_view bytes, std::string_view what) {
  while (!bytes.empty()) {
    const ssize_t sent = send_some(fd, bytes.substr(0, std::min<size_t>(bytes.size(), kMaxChunk)));
    if (sent >= 0) bytes.remove_prefix(static_cast<size_t>(sent));
    else if (errno != EINTR) return sys_error(what, errno);
  }
  return {};
}

}  // namespace

Result<> send_job(int fd, std::string_view job) { return send_all(fd, job, "sending the job to init"); }

Result<> send_signal(int fd, int signal) {
  const Order order{kOrderMagic, static_cast<uint32_t>(signal)};
  auto sent = send_all(fd, {reinterpret_cast<const char*>(&order), sizeof order}, "sending a signal to init");
  if (!sent && (sent.error().sys == EPIPE || sent.error().sys == ECONNRESET)) return {};
  return sent;
}

Result<std::optional<Report>> receive_report(int fd) {
  std::string bytes(sizeof(Report), '\0');
  size_t held = 0;
  while (held < bytes.size()) {
    const ssize_t got = ::read(fd, bytes.data() + held, bytes.size() - held);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ECONNRESET) return std::nullopt;  // it ended without reading all that we sent
    if (got < 0) return sys_error("reading init's report", errno);
    if (got == 0 && held == 0) return std::nullopt;
    if (got == 0) return fail(Fault::failed, "reading init's report: it is cut short");
    held += static_cast<size_t>(got);
  }
  return TRY(parse_report(bytes));
}

}  // namespace bailey::tests
