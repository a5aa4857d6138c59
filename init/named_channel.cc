#include "init/named_channel.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"

namespace bailey::init {

namespace {

constexpr const char* kToInit = "to-init";
constexpr const char* kFromInit = "from-init";

Result<Fd> open(int directory, const char* name, int flags) {
  return files::open_at(directory, name, flags | O_NONBLOCK | O_NOFOLLOW);
}

}  // namespace

// init waits in its reads and writes, which is a matter of the description: O_NONBLOCK goes again.
Result<NamedChannel> create_named_channel(int directory) {
  NamedChannel channel;
  for (auto [name, end] : {std::pair{kToInit, &channel.to_init}, {kFromInit, &channel.from_init}}) {
    ::unlinkat(directory, name, 0);  // of a first try of ours
    if (::mkfifoat(directory, name, 0600) != 0) return sys_error(std::string("making the FIFO ") + name, errno);
    *end = TRY(open(directory, name, O_RDWR));
    if (::fcntl(end->get(), F_SETFL, O_RDWR) < 0) return sys_error(std::string("opening the FIFO ") + name, errno);
  }
  return channel;
}

Result<NamedChannel> open_named_channel(int directory) {
  NamedChannel channel;
  channel.to_init = TRY_WITH(open(directory, kToInit, O_WRONLY), "the channel to the sandbox's init");
  channel.from_init = TRY_WITH(open(directory, kFromInit, O_RDONLY), "the channel from the sandbox's init");
  return channel;
}

Result<NamedChannel> find_named_channel(int directory) {
  auto channel = open_named_channel(directory);
  if (!channel && channel.error().sys == ENXIO) return NamedChannel();  // fifo(7): nobody has it open for reading
  return channel;
}

}  // namespace bailey::init
