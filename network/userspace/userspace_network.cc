#include "network/userspace/userspace_network.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/child.h"
#include "base/clock.h"
#include "base/detached_mount.h"
#include "base/id_maps.h"
#include "network/bridge/link.h"
#include "network/bridge/port.h"
#include "network/userspace/guard.h"

namespace bailey::network {

namespace {

constexpr uid_t kNobody = 65534;
constexpr size_t kMessageRoom = 512, kMaxWords = 4096;
constexpr int64_t kUplinkMs = 20'000;  // a bound only
constexpr const char* kNamespaces = "`bailey doctor` tells which namespaces this host allows";

// An ordinary user's /proc/self/uid_map belongs to root unless this process may be dumped (proc(5)).
class Dumpable {
 public:
  Dumpable() : before_(::prctl(PR_GET_DUMPABLE)) {
    if (::geteuid() != 0) ::prctl(PR_SET_DUMPABLE, 1);
  }
  ~Dumpable() {
    if (::geteuid() != 0) ::prctl(PR_SET_DUMPABLE, before_);
  }
  Dumpable(const Dumpable&) = delete;

 private:
  int before_;
};

// The caller's own ids and every capability over what is made from now on; of the host nothing more than before.
Result<> enter_user_namespace() {
  const uint32_t uid = ::geteuid(), gid = ::getegid();
  const Dumpable dumpable;
  if (::unshare(CLONE_NEWUSER) < 0) {
    auto failed = sys_error("creating a user namespace for the network", errno);
    failed.error().fault = Fault::unavailable;
    failed.error().remedy = kNamespaces;
    return failed;
  }
  return write_single_id_maps(0, {uid, uid}, {gid, gid});
}

// As root: a tun device that the uplink may open, whatever the host's own allows, in a tmpfs of its own. Others have the
// host's.
Result<Fd> create_devices() {
  if (::geteuid() != 0) return Fd();
  const MountOption options[] = {{"size", "64k"}, {"nr_inodes", "4"}, {"mode", "0755"}};
  const int made = create_detached_mount("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  if (made < 0) return sys_error("creating a tmpfs for a tun device", -made);
  Fd mount(made);
  constexpr unsigned kMisc = 10, kTun = 200;  // Documentation/admin-guide/devices.txt
  if (::mknodat(mount.get(), "tun", S_IFCHR | 0666, makedev(kMisc, kTun)) < 0 || ::fchmodat(mount.get(), "tun", 0666, 0) < 0)
    return sys_error("creating a tun device", errno);
  return mount;
}

// The link by which the host reaches others, for pasta, which takes hardware address and MTU from it.
Result<std::string> likely_link(NetlinkSocket& socket) {
  const std::vector<link::Link> links = TRY(link::all(socket));
  const std::vector<link::OwnAddress> addresses = TRY(link::addresses(socket, Ip::v4));
  const int by_default = TRY(link::default_link(socket));
  const auto has_address = [&](const link::Link& one) {
    return std::ranges::find(addresses, one.index, &link::OwnAddress::index) != addresses.end();
  };
  for (const link::Link& one : links)
    if (one.index == by_default) return one.name;
  for (const link::Link& one : links)
    if (one.index != link::kLoopback && one.up && has_address(one)) return one.name;
  return std::string();
}

Error with_remedy(Error error) {
  // slirp4netns names the device, pasta a "tun socket" or "tun device", as old as it is.
  if (error.message.find("/dev/net/tun") != error.message.npos || error.message.find("tun ") != error.message.npos)
    error.remedy = "a /dev/net/tun that this user may open (modprobe tun; chmod 0666 /dev/net/tun)";
  if (error.message.find("No external routable interface") != error.message.npos)
    error.remedy = "a link of the host with an IPv4 address; slirp4netns asks for none (the policy's `uplink`)";
  if (error.remedy.empty()) error.remedy = "the other of pasta and slirp4netns as the policy's `uplink`, or --net none";
  error.fault = Fault::unavailable;
  return error;
}

// A child of create_owned_netns(), which holds the namespaces until their ids are mapped.
[[noreturn]] void hold_namespaces(int channel) {
  const bool made = ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
  for (const char* file : {"/proc/self/ns/user", "/proc/self/ns/net"}) {
    const int fd = made ? ::open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || send_fds(channel, &fd, 1) != 0) ::_exit(1);
  }
  char byte;
  (void)!::recv(channel, &byte, 1, 0);  // until the parent closes its end
  ::_exit(0);
}

}  // namespace

Result<OwnedNetns> create_owned_netns() {
  SocketPair channel = TRY(create_socket_pair());
  const Dumpable dumpable;
  const pid_t child = ::fork();
  if (child < 0) return sys_error("forking", errno);
  if (child == 0) {
    channel.ours.reset();
    hold_namespaces(channel.theirs.get());
  }
  channel.theirs.reset();
  const auto make = [&]() -> Result<OwnedNetns> {
    Fd owner = TRY(receive_fd(channel.ours.get()));
    Fd netns = TRY(receive_fd(channel.ours.get()));
    TRY(write_single_id_maps(child, {0, ::geteuid()}, {0, ::getegid()}));
    return OwnedNetns{std::move(owner), Netns(std::move(netns))};
  };
  auto made = make();
  channel.ours.reset();
  (void)await_child(child);
  if (!made) return std::unexpected(std::move(made).error().with("creating the sandbox's namespaces"));
  return made;
}

std::vector<Subnet> without_overlaps(std::vector<Subnet> ranges) {
  std::ranges::sort(ranges, {}, [](const Subnet& one) { return std::pair(one.length, one.first.value); });
  std::vector<Subnet> result;
  for (const Subnet& one : ranges)
    if (std::ranges::none_of(result, [&](const Subnet& wider) { return wider.contains(one); })) result.push_back(one);
  return result;
}

Result<UserspaceNetwork> UserspaceNetwork::create(const UserspaceNetworkSpec& spec) {
  const UplinkProgram program = TRY(find_uplink(spec.uplink));
  UserspaceNetwork made;
  UplinkArguments arguments;
  {
    auto host = TRY(NetlinkSocket::open(NETLINK_ROUTE));
    std::vector<Subnet> taken = TRY(link::routed(host, Ip::v4));
    made.bridge_ = spec.bridge;
    if (!made.bridge_.subnet) made.bridge_.subnet = TRY(free_subnet(taken));
    taken.push_back(*made.bridge_.subnet);
    arguments.range = TRY(free_subnet(taken));
    made.closed_ = TRY(link::local(host));
    made.closed_.push_back(arguments.range);
    made.closed_ = without_overlaps(std::move(made.closed_));
    arguments.like = TRY(likely_link(host));
  }
  arguments.netns = kNetnsPath;
  if (::geteuid() != 0) TRY(enter_user_namespace());
  if (auto started = made.start(program, arguments, spec.names); !started)
    return std::unexpected(with_remedy(std::move(started).error().with("starting " + std::string(program.name()))));
  return made;
}

Result<> UserspaceNetwork::start(const UplinkProgram& program, const UplinkArguments& arguments, bool names) {
  uplink_ = program.name();
  SocketPair channel = TRY(create_socket_pair());
  Pipe output = TRY(create_pipe());
  const Fd devices = TRY(create_devices());
  GuardWork work{channel.theirs.get(), program.program.file.get(), output.write.get(), devices.get(), {}, {}};
  if (names) work.names = bridge_.subnet->at(1);
  work.arguments = uplink_arguments(program.kind, arguments);

  const Dumpable dumpable;  // the guard's maps, too
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) be_guard(work);
  if (pid < 0) {
    auto failed = sys_error("creating namespaces for it", errno);
    failed.error().remedy = kNamespaces;
    return failed;
  }
  pid_ = static_cast<pid_t>(pid);
  pidfd_ = Fd(pidfd);
  channel_ = std::move(channel.ours);
  output_ = std::move(output.read);
  if (::fcntl(output_.get(), F_SETFL, O_NONBLOCK) < 0) return sys_error("making a pipe non-blocking", errno);
  channel.theirs.reset();  // so that the guard's end is the end of the file

  const bool root = ::geteuid() == 0;
  TRY(write_single_id_maps(pid_, {0, root ? kNobody : ::geteuid()}, {0, root ? kNobody : ::getegid()},
                           root ? Setgroups::leave : Setgroups::deny));
  const GuardStart start{pid_};
  if (::send(channel_.get(), &start, sizeof start, MSG_NOSIGNAL) < 0) return sys_error("starting its guard", errno);
  return receive(names);
}

Result<> UserspaceNetwork::receive(bool names) {
  const auto next = [this]() -> Result<Fd> {
    char message[kMessageRoom];
    auto got = TRY(receive_message(channel_.get(), message, sizeof message, "waiting for the userspace network"));
    if (got.descriptor) return std::move(got.descriptor);
    return fail(Fault::failed, got.size > 1 ? std::string(message, got.size - 1) : "its guard has ended");
  };
  netns_ = Netns(TRY(next()));
  if (names) {
    names_.datagrams = TRY(next());
    names_.listener = TRY(next());
    sockaddr_in own{};
    socklen_t size = sizeof own;
    if (::getsockname(names_.listener.get(), reinterpret_cast<sockaddr*>(&own), &size) < 0)
      return sys_error("reading a port", errno);
    names_.port = ntohs(own.sin_port);
  }
  const int netns = netns_.fd();
  if (const int err = send_fds(channel_.get(), &netns, 1)) return sys_error("starting it", err);
  return {};
}

Result<> UserspaceNetwork::enter() {
  if (::setns(netns_.fd(), CLONE_NEWNET) < 0) return sys_error("entering the userspace network", errno);
  routes_ = TRY(NetlinkSocket::open(NETLINK_ROUTE));
  return switch_loopback_on(routes_);
}

Result<> UserspaceNetwork::await_uplink() {
  const auto deadline = clock::Deadline::in_ms(kUplinkMs);
  for (;;) {
    if (TRY(link::default_link(routes_)) != 0) return {};
    pollfd ended{pidfd_.get(), POLLIN, 0};
    if (::poll(&ended, 1, 1) > 0)
      return std::unexpected(with_remedy(Error{.message = uplink_ + " ended with " + end(), .remedy = {}, .step = {}}));
    if (deadline.passed()) return fail(Fault::failed, uplink_ + " has not made its link within 20 s: " + words());
  }
}

std::string UserspaceNetwork::words() {
  std::string text(kMaxWords, '\0');
  const ssize_t got = output_ ? ::read(output_.get(), text.data(), text.size()) : -1;
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::ranges::replace(text, '\n', ';');
  return text;
}

std::string UserspaceNetwork::end() {
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  const auto status = await_child(std::exchange(pid_, -1));
  pidfd_.reset();
  std::string how = status ? describe_status(*status) : "no word";
  if (const std::string said = words(); !said.empty()) how += ": " + said;
  return how;
}

void UserspaceNetwork::reset() {
  if (pid_ > 0) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  pid_ = -1;
}

UserspaceNetwork& UserspaceNetwork::operator=(UserspaceNetwork&& other) noexcept {
  if (this == &other) return *this;
  reset();
  bridge_ = std::move(other.bridge_);
  closed_ = std::move(other.closed_);
  names_ = std::move(other.names_);
  uplink_ = std::move(other.uplink_);
  channel_ = std::move(other.channel_);
  output_ = std::move(other.output_);
  pidfd_ = std::move(other.pidfd_);
  pid_ = std::exchange(other.pid_, -1);
  netns_ = std::move(other.netns_);
  routes_ = std::move(other.routes_);
  return *this;
}

}  // namespace bailey::network
