// Fd: one owned file descriptor. Move-only; empty (-1) is legal. Every descriptor is O_CLOEXEC where it is made.
#pragma once

#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bailey {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  // Closes; EINTR and EIO are not reported, because Linux has freed the number in every case (close(2)).
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  Result<Fd> duplicate() const;  // F_DUPFD_CLOEXEC, number 3 or above

 private:
  int fd_ = -1;
};

// For a child that goes on without an exec: closes every descriptor but those (negative ones are none), and makes 0, 1 and 2
// /dev/null.
Result<> keep_only(std::vector<int> keep);

struct Pipe {
  Fd read;
  Fd write;
};
Result<Pipe> create_pipe();  // O_CLOEXEC, blocking

struct SocketPair {
  Fd ours;
  Fd theirs;
};
Result<SocketPair> create_socket_pair();  // AF_UNIX, SOCK_SEQPACKET, O_CLOEXEC

// Passes descriptors, in as many messages of one byte as it takes. Allocates nothing and may run between clone and exec;
// returns 0 or an errno.
int send_fds(int socket, const int* fds, size_t count);

// What one send_fds sent, O_CLOEXEC: how many, or -errno; -EPIPE when the peer closed its end first, -EMSGSIZE for more than
// `room`. As send_fds may run between clone and exec. On an error what came already stays open.
int receive_fds(int socket, int* fds, size_t room);

// One message of at most `room` bytes, with the first descriptor that came along (O_CLOEXEC); the rest is closed, so that a
// peer cannot fill our table. No bytes: the peer closed its end. Blocks. Errors name `what`.
struct ReceivedMessage {
  size_t size = 0;
  Fd descriptor;
};
// `flags`: MSG_DONTWAIT, for one.
Result<ReceivedMessage> receive_message(int socket, char* bytes, size_t room, const char* what, int flags = 0);

// A message whose point is its descriptor; one without is an error.
Result<Fd> receive_fd(int socket);

}  // namespace bailey
