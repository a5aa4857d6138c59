#include "network/dns/resolver.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "network/dns/forwarder.h"
#include "network/dns/name_rules.h"
#include "network/dns/resolver_channel.h"
#include "network/ip/socket_address.h"

namespace bailey::network {

namespace {

constexpr uint16_t kPort = 53;
constexpr int kMessagesAtOnce = 64;
// Sockets to name servers and clients, and what a worker has anyway.
constexpr uint64_t kDescriptors = kMostQuestions + 32;

Result<SocketAddress> server_address(const std::string& text) {
  const size_t zone = text.find('%');
  const Address address = TRY_WITH(parse_address(text.substr(0, zone)), "name server");
  SocketAddress result = socket_address(address, kPort);
  if (zone != text.npos && address.ip == Ip::v6)
    reinterpret_cast<sockaddr_in6*>(&result.storage)->sin6_scope_id = ::if_nametoindex(text.c_str() + zone + 1);
  return result;
}

Result<Fd> bind_socket(int type, const Address& address, uint16_t port) {
  Fd socket(::socket(family_of(address.ip), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return sys_error("opening a socket for names", errno);
  const int on = 1;
  if (address.ip == Ip::v4 && ::setsockopt(socket.get(), IPPROTO_IP, IP_FREEBIND, &on, sizeof on) < 0)
    return sys_error("opening a socket for names", errno);
  const SocketAddress own = socket_address(address, port);
  if (::bind(socket.get(), own.get(), own.size) < 0) return sys_error("binding " + to_text(address) + " for names", errno);
  return socket;
}

}  // namespace

// UDP gets a free port of the kernel; somebody may have the same one of TCP.
Result<NameSockets> bind_names(const Address& address) {
  for (int attempt = 1;; ++attempt) {
    NameSockets result;
    result.datagrams = TRY(bind_socket(SOCK_DGRAM, address, 0));
    SocketAddress own;
    if (::getsockname(result.datagrams.get(), own.get(), &own.size) < 0) return sys_error("reading a port", errno);
    result.port = port_of(own);
    auto listener = bind_socket(SOCK_STREAM, address, result.port);
    if (!listener && listener.error().sys == EADDRINUSE && attempt < 16) continue;
    result.listener = TRY(std::move(listener));
    if (::listen(result.listener.get(), 8) < 0) return sys_error("listening for names", errno);
    return result;
  }
}

void Resolver::Unmap::operator()(std::atomic<uint64_t>* counter) const { ::munmap(counter, sizeof *counter); }

Result<Resolver> Resolver::begin(const ResolverSpec& spec, NameSockets sockets) {
  ForwarderSpec work{spec.client, spec.ipv6, spec.egress, {}, -1, -1, nullptr, spec.search, spec.hosts, spec.connections};
  for (const std::string& server : spec.servers) work.servers.push_back(TRY(server_address(server)).storage);
  Resolver result;
  result.egress_ = spec.egress;
  result.ipv6_ = spec.ipv6;
  void* shared = ::mmap(nullptr, sizeof(std::atomic<uint64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return sys_error("mapping a counter of names", errno);
  result.denied_.reset(new (shared) std::atomic<uint64_t>(0));
  result.port_ = sockets.port;
  work.datagrams = sockets.datagrams.get();
  work.listener = sockets.listener.get();
  work.denied = result.denied_.get();
  const WorkerSpec worker{"bailey-names", {work.datagrams, work.listener}, {kPort}, kDescriptors};
  result.worker_ = TRY(Worker::begin(worker, [&](int channel) { forward_names(work, channel); }));
  result.datagrams_ = std::move(sockets.datagrams);
  result.listener_ = std::move(sockets.listener);
  return result;
}

// Who asks from then on is refused and need not wait: a listener that was shut keeps the port that it asked for
// (inet_shutdown), and a socket that is connected to itself hears nobody else.
std::string Resolver::end() {
  std::string how = worker_.end();
  SocketAddress own;
  ::shutdown(listener_.get(), SHUT_RDWR);
  if (::getsockname(datagrams_.get(), own.get(), &own.size) == 0) (void)::connect(datagrams_.get(), own.get(), own.size);
  return how;
}

Result<> Resolver::serve(const Admit& admit) {
  for (int i = 0; i < kMessagesAtOnce && worker_; ++i) {
    char message[sizeof(Found)];
    const ssize_t got = ::recv(fd(), message, sizeof message, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return {};
    if (got <= 0) return fail(Fault::failed, "the resolver of names has ended: " + end());
    const size_t size = static_cast<size_t>(got);
    ResolverMessage kind{};
    if (size >= sizeof kind) std::memcpy(&kind, message, sizeof kind);
    auto done = kind == ResolverMessage::found ? permit(admit, message, size) : note(message, size);
    if (done) continue;
    (void)end();
    return done;
  }
  return {};
}

Result<> Resolver::permit(const Admit& admit, const char* bytes, size_t size) {
  const auto nonsense = [] { return fail(Fault::failed, "the resolver of names spoke nonsense and was ended"); };
  Found found{};
  std::memcpy(&found, bytes, std::min(size, sizeof found));
  if (size < offsetof(Found, entries) || found.count > kMostFound ||
      size != offsetof(Found, entries) + found.count * sizeof(Found::Entry))
    return nonsense();
  std::vector<Opening> openings;
  for (uint32_t i = 0; i < found.count; ++i) {
    const auto& [grant, seconds, length, bytes_of] = found.entries[i];
    const auto address = length <= sizeof bytes_of ? read_address({bytes_of, length}) : std::nullopt;
    if (grant >= egress_.size() || egress_[grant].kind != Grant::Kind::name || first_of_name(egress_, grant) != grant ||
        !address || !may_open(*address) || (address->ip == Ip::v6 && !ipv6_) || seconds < kShortestOpen ||
        seconds > kLongestOpen + kGrace)
      return nonsense();
    openings.push_back({grant, *address, seconds});
  }
  Permit answer{found.token, 1};
  if (!openings.empty()) {
    if (const auto admitted = admit(openings); !admitted) {
      answer.granted = 0;
      // Once: the workload decides how often, and where warnings go is the caller's.
      if (!std::exchange(warned_, true))
        log::warning("opening addresses of " + egress_[openings[0].grant].name + ": " + admitted.error().message);
    }
  }
  // There is room for one each of all questions under way: who does not read them is no resolver any more.
  if (::send(fd(), &answer, sizeof answer, MSG_NOSIGNAL) < 0 && errno != EPIPE) return nonsense();
  return {};
}

Result<> Resolver::note(const char* bytes, size_t size) {
  Denied denied;
  if (size != sizeof denied) return fail(Fault::failed, "the resolver of names spoke nonsense and was ended");
  std::memcpy(&denied, bytes, sizeof denied);
  if (names_.size() >= kMostNames) return {};
  std::string name(denied.name, ::strnlen(denied.name, sizeof denied.name));
  std::ranges::replace_if(name, [](char c) { return c < ' ' || c > '~'; }, '?');
  if (std::ranges::find(names_, name) == names_.end()) names_.push_back(std::move(name));
  return {};
}

DeniedNames Resolver::denied() const { return {denied_ ? denied_->load() : 0, names_}; }

}  // namespace bailey::network
