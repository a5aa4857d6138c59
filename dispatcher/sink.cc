#include "dispatcher/sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "base/files.h"
#include "base/units.h"

namespace bailey::dispatcher {

Result<std::optional<int>> parse_descriptor(std::string_view text) {
  if (text == "-")
    return fail(Fault::bad_input, "'-' means neither stdin nor stdout here",
                "fd:0 for stdin, fd:1 for stdout, ./- for a file of that name");
  if (text.empty()) return fail(Fault::bad_input, "no file is named", "a path, or fd:N");
  if (!text.starts_with("fd:")) return std::nullopt;
  const auto number = units::parse_unsigned(text.substr(3));
  if (!number || *number > INT_MAX)
    return fail(Fault::bad_input, "'" + std::string(text) + "' names no descriptor",
                "fd:N with N a decimal number, or ./" + std::string(text) + " for a file of that name");
  return static_cast<int>(*number);
}

Result<Sink> Sink::open(const std::string& text, Writing writing) {
  Sink sink;
  sink.name_ = text;
  sink.writing_ = writing;
  if (const auto number = TRY(parse_descriptor(text))) {
    const int flags = ::fcntl(*number, F_GETFL);
    if (flags < 0)
      return fail(Fault::bad_input, "descriptor " + std::to_string(*number) + " is not open",
                  "open it before bailey is started");
    if ((flags & O_ACCMODE) == O_RDONLY)
      return fail(Fault::bad_input, "descriptor " + std::to_string(*number) + " is open for reading only",
                  "open it for writing");
    const int copy = ::fcntl(*number, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return sys_error("duplicating descriptor " + std::to_string(*number), errno);
    sink.fd_ = Fd(copy);
    return sink;
  }
  // O_NONBLOCK: a FIFO without a reader is an error and not a wait. O_NOFOLLOW: in a directory that was a volume, an earlier
  // workload may have left a link there, to a file that only we may write. /dev/stderr is the kernel's own link.
  const int append = writing == Writing::lines ? O_APPEND : 0;
  const int no_follow = text.starts_with("/dev/") || text.starts_with("/proc/") ? 0 : O_NOFOLLOW;
  auto opened = files::open(text, O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK | append | no_follow, 0600);
  if (!opened && opened.error().sys == ELOOP)
    opened.error().remedy = "it is a symbolic link, which somebody else may have put there: name the file itself, or fd:N";
  if (!opened && (opened.error().sys == ENOENT || opened.error().sys == ENOTDIR))
    opened.error().remedy = "make its directory first, or name a file elsewhere";
  sink.fd_ = TRY(std::move(opened));
  return sink;
}

Result<> Sink::clear() const {
  if (!fd_ || writing_ != Writing::whole || name_.starts_with("fd:")) return {};
  const struct stat info = TRY(files::stat_fd(fd_.get(), name_));
  if (S_ISREG(info.st_mode) && ::ftruncate(fd_.get(), 0) != 0) return sys_error("emptying " + name_, errno);
  return {};
}

Result<> Sink::write(std::string text, int patience_ms) const {
  if (!fd_) return {};
  text.push_back('\n');
  TRY(clear());
  const struct stat info = TRY(files::stat_fd(fd_.get(), name_));
  std::string_view rest = text;
  while (!rest.empty()) {
    pollfd writable{fd_.get(), POLLOUT, 0};
    const int ready = ::poll(&writable, 1, patience_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return fail(Fault::failed, "writing to " + name_ + ": its reader takes nothing");
    // A pipe that polls writable takes PIPE_BUF bytes without blocking, no more for sure.
    const size_t size = S_ISREG(info.st_mode) ? rest.size() : std::min<size_t>(rest.size(), PIPE_BUF);
    const ssize_t written = ::write(fd_.get(), rest.data(), size);
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written < 0) return sys_error("writing to " + name_, errno);
    rest.remove_prefix(static_cast<size_t>(written));
  }
  // Network and user-space file systems tell at a close what they could not write.
  if (!S_ISREG(info.st_mode)) return {};
  const int copy = ::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 3);
  if (copy >= 0 && ::close(copy) != 0 && errno != EINTR) return sys_error("writing to " + name_, errno);
  return {};
}

}  // namespace bailey::dispatcher
