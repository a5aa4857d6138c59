#include "network/dns/forwarder.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <set>
#include <string>

#include "base/clock.h"
#include "network/dns/dns_message.h"
#include "network/dns/dns_stream.h"
#include "network/dns/name_rules.h"
#include "network/dns/resolver_channel.h"
#include "network/ip/socket_address.h"

namespace bailey::network {

namespace {

using clock::Deadline;

constexpr int kServerMs = 2000, kPermitMs = 5000, kIdleMs = 10'000;
constexpr uint32_t kHostsSeconds = 300;  // a name of /etc/hosts may be kept for so long
constexpr size_t kMostConnections = 8;
constexpr size_t kLongestQuestion = 1024;
constexpr int kSendBuffer = 1 << 14;
// Questions taken: this many at once, then as many a second. What a workload asks costs the host's time, not its own.
constexpr double kBurst = 500, kPerSecond = 500;

// Each socket to a name server is a connection for conntrack, a table of the whole host, and stays one for 30 s by UDP
// (nf_conntrack_udp_timeout), 120 s by TCP (nf_conntrack_tcp_timeout_time_wait). So many at once, and as many in 30 s.
constexpr double kServerSeconds = 30, kServerTcpCost = 4;

struct Connection {
  uint64_t id = 0;
  dns::Stream stream;
  Deadline deadline;
  bool busy = false;  // its question is under way
  bool over = false;
};

// Who asked, and where the answer goes.
struct Client {
  SocketAddress address;
  uint64_t connection = 0;  // 0: by UDP
};

// A question under way: at a name server, or with the parent.
struct PendingQuery {
  dns::Query query;
  Verdict verdict;
  Client client;
  uint32_t token = 0;
  uint16_t id = 0;
  size_t server = 0;
  dns::Exchange exchange;
  bool with_parent = false;
  std::vector<dns::Record> records;
  Deadline deadline;
  bool over = false;
};

Found::Entry make_entry(uint32_t grant, const Address& address, uint32_t seconds) {
  const WireAddress wire = to_wire(address);
  Found::Entry entry{grant, seconds, static_cast<uint32_t>(wire.size()), {}};
  std::ranges::copy(wire.bytes, entry.address);
  return entry;
}

dns::Bytes bytes(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

class Forwarder {
 public:
  Forwarder(const ForwarderSpec& spec, int channel) : spec_(spec), channel_(channel) {}
  void run();

 private:
  bool hear_parent();  // false: there is none any more
  void take_datagrams();
  void accept_connections();
  void step(Connection& connection, short events);
  void step(PendingQuery& flight);
  void expire();

  void take(const Client& client, const std::string& message);
  void answer_by_hosts(PendingQuery& flight, const std::vector<Address>& addresses);
  void ask(PendingQuery& flight);  // the next server that takes the question
  void judge_answer(PendingQuery& flight, const std::string& message);
  void tell_parent(PendingQuery& flight, const dns::Answer& answer);
  void finish(PendingQuery& flight, dns::Rcode rcode);
  void reply(const Client& client, const std::string& message);
  void deny(const std::string& name);
  void refill();
  double most_servers() const { return spec_.connections ? std::max(*spec_.connections, kFewestForNames) : kBurst; }
  bool takes() const { return credit_ >= 1 && server_credit_ >= 1; }

  const ForwarderSpec& spec_;
  const int channel_;
  std::list<Connection> connections_;
  std::list<PendingQuery> flights_;
  std::set<std::string> told_;
  uint64_t connections_made_ = 0;
  uint32_t questions_ = 0;
  double credit_ = kBurst, server_credit_ = most_servers();
  int64_t refilled_ns_ = clock::monotonic_ns();
};

void Forwarder::run() {
  std::vector<pollfd> polls;
  for (;;) {
    refill();
    const bool takes = this->takes();
    Deadline next = takes ? Deadline() : Deadline::in_ms(20);
    const auto sooner = [&](const Deadline& other) { next = other.at_ns() < next.at_ns() ? other : next; };
    polls.assign({{channel_, POLLIN, 0},
                  {takes ? spec_.datagrams : -1, POLLIN, 0},
                  {connections_.size() < kMostConnections ? spec_.listener : -1, POLLIN, 0}});
    for (const Connection& connection : connections_) {
      polls.push_back({takes || connection.busy ? connection.stream.fd() : -1, connection.stream.events(), 0});
      if (!connection.busy) sooner(connection.deadline);
    }
    for (const PendingQuery& flight : flights_) {
      polls.push_back({flight.with_parent ? -1 : flight.exchange.fd(), flight.exchange.events(), 0});
      sooner(flight.deadline);
    }
    if (::poll(polls.data(), polls.size(), next.poll_ms()) < 0 && errno != EINTR) return;
    // Nothing is removed and what is new comes last until all that were polled have had their turn.
    auto ready = polls.begin() + 3;
    const size_t connections = connections_.size(), flights = flights_.size();
    auto connection = connections_.begin();
    auto flight = flights_.begin();
    for (size_t i = 0; i < connections; ++i, ++connection, ++ready)
      if (ready->revents) step(*connection, ready->revents);
    for (size_t i = 0; i < flights; ++i, ++flight, ++ready)
      if (ready->revents) step(*flight);
    if (polls[0].revents && !hear_parent()) return;
    if (polls[1].revents) take_datagrams();
    if (polls[2].revents) accept_connections();
    expire();
  }
}

void Forwarder::refill() {
  const int64_t now = clock::monotonic_ns();
  const double seconds = static_cast<double>(now - refilled_ns_) * 1e-9;
  credit_ = std::min(kBurst, credit_ + seconds * kPerSecond);
  if (spec_.connections) server_credit_ = std::min(most_servers(), server_credit_ + seconds * most_servers() / kServerSeconds);
  refilled_ns_ = now;
}

bool Forwarder::hear_parent() {
  Permit permit;
  const ssize_t got = ::recv(channel_, &permit, sizeof permit, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got != sizeof permit) return false;
  for (PendingQuery& flight : flights_)
    if (flight.token == permit.token && flight.with_parent && !flight.over)
      finish(flight, permit.granted ? dns::Rcode::no_error : dns::Rcode::server_failure);
  return true;
}

void Forwarder::take_datagrams() {
  for (int i = 0; i < 16 && takes(); ++i) {
    char buffer[kLongestQuestion];
    Client client;
    const ssize_t got =
        ::recvfrom(spec_.datagrams, buffer, sizeof buffer, MSG_TRUNC, client.address.get(), &client.address.size);
    if (got < 0) return;
    if (address_of(client.address) != spec_.client || static_cast<size_t>(got) > sizeof buffer) continue;
    take(client, std::string(buffer, static_cast<size_t>(got)));
  }
}

void Forwarder::accept_connections() {
  while (connections_.size() < kMostConnections) {
    SocketAddress peer;
    Fd socket(::accept4(spec_.listener, peer.get(), &peer.size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    if (address_of(peer) != spec_.client) continue;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
    connections_.push_back({++connections_made_, dns::Stream(std::move(socket), kLongestQuestion), Deadline::in_ms(kIdleMs)});
  }
}

void Forwarder::step(Connection& connection, short events) {
  if ((events & (POLLERR | POLLHUP)) || !connection.stream.step()) connection.over = true;
  // The next question is taken when the answer before is out: who does not read is not written to without end.
  if (connection.over || connection.busy || !connection.stream.idle()) return;
  if (const auto message = connection.stream.take()) {
    connection.busy = true;
    take({{}, connection.id}, *message);
  } else if (connection.stream.ended()) {
    connection.over = true;  // all that it asked is answered
  }
}

void Forwarder::take(const Client& client, const std::string& message) {
  credit_ -= 1;
  const auto query = dns::parse_query(bytes(message));
  if (!query) return reply(client, "");
  if (query->fault == dns::Rcode::refused) deny(query->question.name);
  if (query->fault != dns::Rcode::no_error) return reply(client, dns::make_answer(*query, query->fault, {}, dns::kSmallest));
  Verdict verdict = judge(query->question, spec_.egress, spec_.ipv6, spec_.search);
  dns::Rcode rcode = dns::Rcode::no_error;
  if (verdict.kind == Verdict::Kind::refused) {
    deny(query->question.name);
    rcode = dns::Rcode::refused;
  } else if (verdict.kind == Verdict::Kind::no_such) {
    rcode = dns::Rcode::no_such_name;
  } else if (verdict.kind != Verdict::Kind::empty) {
    if (flights_.size() < kMostQuestions) {
      PendingQuery& flight = flights_.emplace_back();
      flight.query = *query;
      flight.verdict = std::move(verdict);
      flight.client = client;
      flight.token = ++questions_;
      const auto known = spec_.hosts.find(query->question.name);
      const bool of_hosts = query->question.type == dns::type::kA || query->question.type == dns::type::kAaaa;
      return of_hosts && known != spec_.hosts.end() ? answer_by_hosts(flight, known->second) : ask(flight);
    }
    rcode = dns::Rcode::server_failure;
  }
  reply(client, dns::make_answer(*query, rcode, {}, dns::kSmallest));
}

// As "hosts: files dns" of nsswitch.conf(5): a name that is there has the addresses that stand there, of a family that it has
// none of too.
void Forwarder::answer_by_hosts(PendingQuery& flight, const std::vector<Address>& addresses) {
  dns::Answer answer;
  const Ip wanted = flight.query.question.type == dns::type::kA ? Ip::v4 : Ip::v6;
  for (const Address& address : addresses)
    if (address.ip == wanted) answer.records.push_back({flight.query.question.name, kHostsSeconds, address, {}});
  if (flight.verdict.kind == Verdict::Kind::addresses) return tell_parent(flight, answer);
  flight.records = std::move(answer.records);
  finish(flight, dns::Rcode::no_error);
}

void Forwarder::ask(PendingQuery& flight) {
  const auto transport = flight.client.connection ? dns::Exchange::Transport::tcp : dns::Exchange::Transport::udp;
  for (; flight.server < spec_.servers.size(); ++flight.server) {
    // Foreseeable numbers would be an invitation to forge answers: no id is better than such a one.
    if (::getrandom(&flight.id, sizeof flight.id, 0) != sizeof flight.id) break;
    auto exchange = dns::Exchange::create(spec_.servers[flight.server], transport, dns::make_query(flight.query, flight.id));
    if (!exchange) continue;
    if (spec_.connections) server_credit_ -= transport == dns::Exchange::Transport::tcp ? kServerTcpCost : 1;
    flight.exchange = std::move(*exchange);
    flight.deadline = Deadline::in_ms(kServerMs);
    return;
  }
  finish(flight, dns::Rcode::server_failure);
}

void Forwarder::step(PendingQuery& flight) {
  if (flight.over || flight.with_parent) return;
  auto message = flight.exchange.receive();
  if (!message) {
    ++flight.server;
    ask(flight);
  } else if (*message) {
    judge_answer(flight, **message);
  }
}

void Forwarder::judge_answer(PendingQuery& flight, const std::string& message) {
  const auto answer = dns::parse_answer(bytes(message), flight.query.question, flight.id);
  const bool datagram = flight.client.connection == 0;
  if (!answer && datagram) return;  // forged, or late: the answer may still come
  const bool useless = !answer || answer->rcode == dns::Rcode::server_failure || answer->rcode == dns::Rcode::refused ||
                       answer->rcode == dns::Rcode::not_done;
  if (useless || (answer->truncated && !datagram)) {
    ++flight.server;
    return ask(flight);
  }
  if (datagram && (answer->truncated || message.size() > flight.query.room)) {
    flight.over = true;
    return reply(flight.client, dns::make_truncated(flight.query));
  }
  if (flight.verdict.kind == Verdict::Kind::addresses) return tell_parent(flight, *answer);
  std::string copy = message;
  dns::set_id(copy, flight.query.id);
  flight.over = true;
  reply(flight.client, copy);
}

void Forwarder::tell_parent(PendingQuery& flight, const dns::Answer& answer) {
  Found found;
  found.token = flight.token;
  std::string closed;
  size_t addresses = 0;
  for (dns::Record& record : dns::follow(flight.query.question.name, answer.records)) {
    record.seconds = std::min(record.seconds, kLongestOpen);
    if (record.address) {
      if (!may_tell(*record.address, spec_.egress)) {
        closed = to_text(*record.address);
        continue;
      }
      if (may_open(*record.address)) {
        if (found.count + flight.verdict.grants.size() > kMostFound) continue;
        for (const uint32_t grant : flight.verdict.grants)
          found.entries[found.count++] = make_entry(grant, *record.address, open_seconds(record.seconds));
      }
      ++addresses;
    }
    flight.records.push_back(std::move(record));
  }
  if (addresses == 0 && !closed.empty()) deny(flight.query.question.name + " (" + closed + ")");
  if (found.count == 0) return finish(flight, answer.rcode);
  const size_t size = offsetof(Found, entries) + found.count * sizeof(Found::Entry);
  if (::send(channel_, &found, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return finish(flight, dns::Rcode::server_failure);
  flight.with_parent = true;
  flight.exchange = {};
  flight.deadline = Deadline::in_ms(kPermitMs);
}

void Forwarder::finish(PendingQuery& flight, dns::Rcode rcode) {
  flight.over = true;
  if (rcode == dns::Rcode::server_failure) flight.records.clear();
  const size_t room = flight.client.connection ? dns::kLargest : flight.query.room;
  reply(flight.client, dns::make_answer(flight.query, rcode, flight.records, room));
}

void Forwarder::reply(const Client& client, const std::string& message) {
  if (client.connection == 0) {
    if (!message.empty())
      ::sendto(spec_.datagrams, message.data(), message.size(), MSG_NOSIGNAL, client.address.get(), client.address.size);
    return;
  }
  for (Connection& connection : connections_) {
    if (connection.id != client.connection) continue;
    connection.busy = false;
    connection.deadline = Deadline::in_ms(kIdleMs);
    if (message.empty()) connection.over = true;
    else connection.stream.send(message);
  }
}

void Forwarder::deny(const std::string& name) {
  spec_.denied->fetch_add(1, std::memory_order_relaxed);
  if (told_.size() >= kMostNames || told_.contains(name)) return;
  Denied denied;
  std::memcpy(denied.name, name.data(), std::min(name.size(), kLongestName));
  if (::send(channel_, &denied, sizeof denied, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) told_.insert(name);
}

void Forwarder::expire() {
  for (PendingQuery& flight : flights_) {
    if (flight.over || !flight.deadline.passed()) continue;
    if (flight.with_parent) {
      finish(flight, dns::Rcode::server_failure);
    } else {
      ++flight.server;
      ask(flight);
    }
  }
  std::erase_if(flights_, [](const PendingQuery& flight) { return flight.over; });
  std::erase_if(connections_, [](const Connection& connection) {
    return connection.over || (!connection.busy && connection.deadline.passed());
  });
}

}  // namespace

void forward_names(const ForwarderSpec& spec, int channel) { Forwarder(spec, channel).run(); }

}  // namespace bailey::network
