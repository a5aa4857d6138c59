#include "dispatcher/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

namespace bailey::dispatcher {

struct RawTerminal::Saved {
  int fd;
  termios settings;
  ~Saved() { ::tcsetattr(fd, TCSADRAIN, &settings); }
};

RawTerminal::RawTerminal() = default;
RawTerminal::RawTerminal(RawTerminal&&) noexcept = default;
RawTerminal& RawTerminal::operator=(RawTerminal&&) noexcept = default;
RawTerminal::~RawTerminal() = default;

Result<RawTerminal> RawTerminal::enter(int fd) {
  RawTerminal terminal;
  termios before{};
  if (::tcgetattr(fd, &before) != 0) return terminal;
  termios raw = before;
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd, TCSADRAIN, &raw) != 0) return sys_error("setting the terminal to raw mode", errno);
  terminal.saved_ = std::make_unique<Saved>(fd, before);
  return terminal;
}

void copy_terminal_size(int master) {
  for (int fd = 0; fd <= 2; ++fd) {
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0) continue;
    ::ioctl(master, TIOCSWINSZ, &size);
    return;
  }
}

}  // namespace bailey::dispatcher
