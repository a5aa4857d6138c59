#include "base/fd.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace bailey {

namespace {
constexpr size_t kMaxPassedFds = 64;  // in one message; the kernel takes 253 (SCM_MAX_FD)
constexpr char kMore = 'm', kLast = 'f';
}  // namespace

Result<Fd> Fd::duplicate() const {
  int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return sys_error("duplicating a descriptor", errno);
  return Fd(copy);
}

Result<> keep_only(std::vector<int> keep) {
  const Fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nothing) return sys_error("opening /dev/null", errno);
  for (const int number : {0, 1, 2})
    if (::dup2(nothing.get(), number) < 0) return sys_error("closing the standard streams", errno);
  std::erase_if(keep, [](int number) { return number < 0; });
  std::ranges::sort(keep);
  unsigned first = 3;
  for (const int number : keep) {
    const unsigned kept = static_cast<unsigned>(number);
    if (kept > first && ::close_range(first, kept - 1, 0) < 0) return sys_error("closing descriptors", errno);
    first = std::max(first, kept + 1);
  }
  if (::close_range(first, ~0U, 0) < 0) return sys_error("closing descriptors", errno);
  return {};
}

Result<Pipe> create_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return sys_error("creating a pipe", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<SocketPair> create_socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return sys_error("creating a socket pair", errno);
  return SocketPair{Fd(ends[0]), Fd(ends[1])};
}

int send_fds(int socket, const int* fds, size_t count) {
  for (size_t sent = 0, now = 0; sent < count; sent += now) {
    now = std::min(count - sent, kMaxPassedFds);
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassedFds)] = {};
    char byte = sent + now < count ? kMore : kLast;
    iovec data{&byte, 1};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * now);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * now);
    std::memcpy(CMSG_DATA(header), fds + sent, sizeof(int) * now);
    while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
      if (errno != EINTR) return errno;
  }
  return 0;
}

int receive_fds(int socket, int* fds, size_t room) {
  size_t held = 0;
  for (char byte = kMore; byte == kMore;) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassedFds)];
    iovec data{&byte, 1};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? -errno : -EPIPE;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return -EBADMSG;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (count > room - held || (message.msg_flags & MSG_CTRUNC)) return -EMSGSIZE;
    std::memcpy(fds + held, CMSG_DATA(header), count * sizeof(int));
    held += count;
  }
  return static_cast<int>(held);
}

Result<ReceivedMessage> receive_message(int socket, char* bytes, size_t room, const char* what, int flags) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassedFds)] = {};
  iovec data{bytes, room};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return sys_error(what, errno);
  ReceivedMessage received{static_cast<size_t>(got), Fd()};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      Fd owned(number);
      if (!received.descriptor) received.descriptor = std::move(owned);
    }
  }
  return received;
}

Result<Fd> receive_fd(int socket) {
  char byte = 0;
  ReceivedMessage received = TRY(receive_message(socket, &byte, 1, "receiving a descriptor"));
  if (!received.descriptor) return fail(Fault::failed, "receiving a descriptor: the peer sent none");
  return std::move(received.descriptor);
}

}  // namespace bailey
