#include "network/ip/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <linux/nsfs.h>

#include <cerrno>
#include <initializer_list>
#include <utility>

#include "base/files.h"
#include "base/log.h"

namespace bailey::network {

namespace {

constexpr const char* kOwn = "/proc/thread-self/ns/net";

void come_back(const Netns& home) {
  if (::setns(home.fd(), CLONE_NEWNET) < 0)
    log::end_process(std::string("this process cannot come back to its own network namespace: ") + errno_name(errno));
}

}  // namespace

Result<Netns> Netns::of_this_thread() {
  return Netns(TRY_WITH(files::open(kOwn, O_RDONLY), "opening this thread's network namespace"));
}

Result<Netns> Netns::create() {
  const Netns home = TRY(of_this_thread());
  if (::unshare(CLONE_NEWNET) < 0) return sys_error("creating a network namespace", errno);
  Result<Netns> made = of_this_thread();
  come_back(home);
  return made;
}

Result<Netns> Netns::of_process(int pidfd) {
  // setns(pidfd) would do without a path, but the answer has to be held: the process may end.
  const auto info = TRY(files::read("/proc/self/fdinfo/" + std::to_string(pidfd), 4096));
  const size_t at = info.find("\nPid:\t");
  const int pid = at == info.npos ? -1 : std::atoi(info.c_str() + at + 6);
  if (pid <= 0) return fail(Fault::failed, "opening the network namespace of a process: it has ended or is no process");
  Netns result(TRY(files::open("/proc/" + std::to_string(pid) + "/ns/net", O_RDONLY)));
  // Alive now: the number was still its own when the path was opened.
  if (::syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) < 0)
    return sys_error("opening the network namespace of process " + std::to_string(pid), errno);
  if (::ioctl(result.fd(), NS_GET_NSTYPE) != CLONE_NEWNET)
    return fail(Fault::failed, "process " + std::to_string(pid) + ": what it has as network namespace is none");
  return result;
}

Result<bool> Netns::same_as(const Netns& other) const {
  struct stat a{}, b{};
  if (::fstat(fd(), &a) < 0 || ::fstat(other.fd(), &b) < 0) return sys_error("comparing network namespaces", errno);
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

Result<> Netns::run(const std::function<Result<>()>& act) const {
  const Netns home = TRY(of_this_thread());
  if (::setns(fd(), CLONE_NEWNET) < 0) return sys_error("entering a network namespace", errno);
  Result<> done = act();
  come_back(home);
  return done;
}

namespace {

bool kernel_has_ipv6() {
  struct stat info{};
  return ::stat("/proc/sys/net/ipv6", &info) == 0 || errno != ENOENT;
}

using Settings = std::initializer_list<std::pair<const char*, const char*>>;
Result<> set_ipv6(const std::string& link, const char* what, Settings settings) {
  const std::string doing = std::string("switching IPv6 ") + what + " for " + link;
  const auto conf = TRY_WITH(files::open("/proc/sys/net/ipv6/conf/" + link, O_PATH | O_DIRECTORY), doing);
  for (const auto& [name, value] : settings) TRY_WITH(files::write_existing(conf.get(), name, value), doing);
  return {};
}

}  // namespace

Result<> disable_ipv6(const std::string& link) {
  if (!kernel_has_ipv6()) return {};
  return set_ipv6(link, "off", {{"accept_ra", "0"}, {"disable_ipv6", "1"}});
}

Result<> enable_ipv6(const std::string& link) {
  if (!kernel_has_ipv6())
    return fail(Fault::unavailable, "this kernel has no IPv6",
                "without --ipv6, or a kernel that was not started with ipv6.disable=1");
  return set_ipv6(link, "on",
                  {{"accept_ra", "0"},
                   {"autoconf", "0"},
                   {"accept_redirects", "0"},
                   {"router_solicitations", "0"},
                   {"addr_gen_mode", "1"},  // IN6_ADDR_GEN_MODE_NONE: no link-local address
                   {"disable_ipv6", "0"}});
}

}  // namespace bailey::network
