#include "oci/console.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/files.h"

namespace bailey::oci {

namespace {

constexpr mode_t kPidFileMode = 0644;

}  // namespace

Result<Fd> connect_console(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Fault::bad_input, "--console-socket " + path + ": longer than the address of a socket may be");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
    return sys_error("connecting to --console-socket " + path, errno);
  return socket;
}

Result<> send_terminal(int socket, int master) {
  char name[] = "/dev/ptmx";
  iovec part{name, sizeof name - 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &master, sizeof master);
  if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return sys_error("sending the terminal to --console-socket", errno);
  return {};
}

Result<> write_pid_file(const std::string& path, int pid) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const Fd above = TRY_WITH(files::open(directory, O_RDONLY | O_DIRECTORY), "--pid-file");
  return files::write_atomically(above.get(), slash == path.npos ? path : path.substr(slash + 1), std::to_string(pid),
                                 kPidFileMode);
}

}  // namespace bailey::oci
