#include "network/netlink/netlink_socket.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/clock.h"

namespace bailey::network {

namespace {

constexpr size_t kBuffer = 64 * 1024;  // the kernel's dumps come in pieces of at most 32 KiB
constexpr int64_t kAnswerMs = 10'000;  // it has answered when sendmsg returns; a bound all the same
constexpr int kDumpTries = 16;

std::unexpected<Error> answer_error(const std::string& object, const Answer& answer) {
  if (answer.text.empty()) return sys_error(object, answer.err);
  return sys_error(object + ": " + answer.text, answer.err);
}

}  // namespace

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  NetlinkSocket result;
  result.fd_ = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!result.fd_) return sys_error("opening a netlink socket", errno);
  const int on = 1;
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK})
    if (::setsockopt(result.fd_.get(), SOL_NETLINK, option, &on, sizeof on) < 0)
      return sys_error("setting up a netlink socket", errno);
  result.buffer_.resize(kBuffer);
  return result;
}

Result<> NetlinkSocket::transmit(std::span<const uint8_t> data, const std::string& object) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = -1;
  do {
    sent = ::sendto(fd_.get(), data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return sys_error(object + ": sending to the kernel", errno);
  return {};
}

// One datagram of the kernel's; what other processes send to this socket is dropped.
Result<Bytes> NetlinkSocket::receive() {
  const auto deadline = clock::Deadline::in_ms(kAnswerMs);
  for (;;) {
    sockaddr_nl from{};
    iovec part{buffer_.data(), buffer_.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
    if (got >= 0) {
      if (message.msg_namelen != sizeof from || from.nl_pid != 0) continue;
      if (message.msg_flags & MSG_TRUNC) return fail(Fault::failed, "netlink: an answer is longer than expected");
      return Bytes(buffer_.data(), static_cast<size_t>(got));
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return sys_error("netlink: receiving the answer", errno);
    if (deadline.passed()) return fail(Fault::failed, "netlink: the kernel gave no answer");
    pollfd ready{fd_.get(), POLLIN, 0};
    ::poll(&ready, 1, deadline.poll_ms());
  }
}

Result<> NetlinkSocket::send(std::span<const Message> batch) {
  if (batch.empty()) return {};
  const uint32_t first = sequence_;
  sequence_ += static_cast<uint32_t>(batch.size());
  std::vector<uint8_t> data;
  // Errors come unasked; only the last message asks for an answer, so that many do not fill the socket.
  size_t asks = 0;
  for (size_t i = 0; i < batch.size(); ++i)
    if (batch[i].answered()) asks = i;
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto one = TRY(batch[i].finish(first + static_cast<uint32_t>(i), i == asks ? NLM_F_ACK : 0));
    data.insert(data.end(), one.begin(), one.end());
  }
  TRY(transmit(data, batch[asks].object()));
  for (;;) {
    const Bytes datagram = TRY_WITH(receive(), batch.front().object());
    Messages messages(datagram);
    while (const auto message = messages.next()) {
      const uint32_t which = message->header.nlmsg_seq - first;
      if (which >= batch.size()) continue;  // of an earlier batch that was given up
      const auto answer = read_answer(*message);
      if (!answer) continue;
      if (answer->err != 0) return answer_error(batch[which].object(), *answer);
      if (which == asks) return {};
    }
    if (messages.broken()) return fail(Fault::failed, batch.front().object() + ": the kernel's answer makes no sense");
  }
}

Result<std::vector<NetlinkSocket::Reply>> NetlinkSocket::ask_once(const Message& question, bool& interrupted) {
  interrupted = false;
  const uint32_t sequence = sequence_++;
  const auto data = TRY(question.finish(sequence, 0));
  TRY(transmit(data, question.object()));
  std::vector<Reply> replies;
  for (;;) {
    const Bytes datagram = TRY_WITH(receive(), question.object());
    Messages messages(datagram);
    while (const auto message = messages.next()) {
      if (message->header.nlmsg_seq != sequence) continue;
      if (message->header.nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
      if (message->header.nlmsg_type == NLMSG_ERROR || message->header.nlmsg_type == NLMSG_DONE) {
        const auto answer = read_answer(*message);
        if (!answer) return fail(Fault::failed, question.object() + ": the kernel's answer makes no sense");
        if (answer->err != 0) return answer_error(question.object(), *answer);
        return replies;
      }
      replies.push_back({message->header, {message->payload.begin(), message->payload.end()}});
      if (!(message->header.nlmsg_flags & NLM_F_MULTI)) return replies;
    }
    if (messages.broken()) return fail(Fault::failed, question.object() + ": the kernel's answer makes no sense");
  }
}

Result<std::vector<NetlinkSocket::Reply>> NetlinkSocket::ask(const Message& question) {
  for (int i = 0; i < kDumpTries; ++i) {
    bool interrupted = false;
    auto replies = TRY(ask_once(question, interrupted));
    if (!interrupted) return replies;
  }
  return fail(Fault::failed, question.object() + ": the kernel's tables change faster than they can be read");
}

}  // namespace bailey::network
