#include "secrets/source.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/files.h"

namespace bailey::secrets {

namespace {

std::string describe(const Request& request) {
  const std::string place = request.directory.empty() ? "" : request.directory + "/";
  const std::string source = request.file.empty() ? "descriptor " + std::to_string(request.fd) : place + request.file;
  return "secret '" + request.name + "' from " + source;
}

const char* kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a FIFO";
    case S_IFCHR:
    case S_IFBLK: return "a device";
    case S_IFSOCK: return "a socket";
    default: return "no regular file";
  }
}

std::unexpected<Error> bad(const Request& request, const std::string& what, const std::string& remedy) {
  return fail(Fault::bad_input, describe(request) + ": " + what, remedy);
}

constexpr const char* kByDescriptor =
    "hand what is open over by its number: NAME=fd:N, for example `bailey run --secret NAME=fd:3 ... 3< <(COMMAND)`";

// What a shell makes of <(COMMAND), and other ways to name something that is open.
bool names_a_descriptor(std::string_view path) {
  return path.starts_with("/dev/fd/") || path.starts_with("/dev/std") ||
         (path.starts_with("/proc/") && path.find("/fd/") != path.npos);
}

int open_beneath(const Request& request, int flags) {
  const Fd directory(::open(request.directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return -1;
  open_how how{};
  how.flags = static_cast<uint64_t>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, directory.get(), request.file.c_str(), &how, sizeof how));
}

Result<Fd> open_file(const Request& request) {
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const bool in_directory = !request.directory.empty();
  Fd file(in_directory ? open_beneath(request, kFlags) : ::open(request.file.c_str(), kFlags | O_NOFOLLOW));
  if (file) return file;
  const int error = errno;
  if (in_directory && error == EXDEV)
    return bad(request, "is a link that leads out of the directory", "copy the file into the directory");
  if (in_directory && error == ELOOP) return bad(request, "is a link that leads nowhere", "take it out");
  if (error == ELOOP)
    return bad(request, "is a symbolic link",
               names_a_descriptor(request.file) ? kByDescriptor : "name the file that it points to");
  if (error == ENXIO) return bad(request, "is a socket", "name a regular file");
  Error failure = sys_error("opening", error).error();
  if (error == EACCES) failure.remedy = "it must be readable for the user who runs bailey, or be handed over as NAME=fd:N";
  return std::unexpected(files::bad_path(std::move(failure), describe(request)));
}

std::unexpected<Error> too_big(const Request& request) {
  return bad(request, "has more than " + std::to_string(kMaxSecretBytes) + " bytes", "mount large data as a volume");
}

Result<> wait_readable(const Request& request, int fd, const clock::Deadline& deadline) {
  pollfd entry{fd, POLLIN, 0};
  for (;;) {
    const int ready = ::poll(&entry, 1, deadline.poll_ms());
    if (ready > 0) return {};
    if (ready == 0)
      return bad(request, "the pipe was not closed in time", "write the secret before bailey starts, and close the pipe");
    if (errno != EINTR) return sys_error("waiting for " + describe(request), errno);
  }
}

// `capacity` is one byte more than there may be: who fills it has too much, or has grown on the way.
Result<Secret> read_to_end(const Request& request, int fd, size_t capacity, const clock::Deadline& deadline) {
  Secret secret = TRY(Secret::create(capacity));
  for (;;) {
    if (!deadline.never()) TRY(wait_readable(request, fd, deadline));
    const std::span<std::byte> room = secret.free_space();
    const ssize_t got = ::read(fd, room.data(), room.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return sys_error("reading " + describe(request), errno);
    if (got == 0) break;
    secret.grow(static_cast<size_t>(got));
    if (secret.bytes().size() >= capacity) return too_big(request);
  }
  return secret;
}

}  // namespace

Result<> check_descriptor(const Request& request) {
  if (request.fd < 0) return {};
  const int flags = ::fcntl(request.fd, F_GETFL);
  // What bailey itself has open by then are files that it writes: the record, the events.
  if (flags >= 0 && (flags & O_ACCMODE) != O_WRONLY && !(flags & O_PATH)) return {};
  return bad(request, "no such descriptor is open for reading", "open it for bailey, for example: bailey ... 3<FILE");
}

Result<Secret> read_source(const Request& request, int64_t pipe_ms) {
  TRY(check_descriptor(request));
  Fd file;
  if (request.fd < 0) file = TRY(open_file(request));
  const int fd = request.fd < 0 ? file.get() : request.fd;
  struct stat info;
  if (::fstat(fd, &info) < 0) return sys_error("looking at " + describe(request), errno);
  if (request.fd >= 0 && S_ISFIFO(info.st_mode))
    return read_to_end(request, fd, kMaxSecretBytes + 1, clock::Deadline::in_ms(pipe_ms));
  if (!S_ISREG(info.st_mode)) {
    const bool by_descriptor = request.fd < 0 && (S_ISFIFO(info.st_mode) || names_a_descriptor(request.file));
    return bad(request, std::string("is ") + kind_of(info.st_mode),
               by_descriptor                ? kByDescriptor
               : !request.directory.empty() ? "take it out of the directory, or name each file with --secret NAME=FILE"
                                            : "name a regular file");
  }
  if (static_cast<size_t>(info.st_size) > kMaxSecretBytes) return too_big(request);
  return read_to_end(request, fd, static_cast<size_t>(info.st_size) + 1, clock::Deadline());
}

}  // namespace bailey::secrets
