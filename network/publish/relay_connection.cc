#include "network/publish/relay_connection.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "network/ip/socket_address.h"

namespace bailey::network {

namespace {

constexpr size_t kPiece = 1 << 20;  // at most what a pipe holds
constexpr int kShare = 16;          // pieces of one direction, before the next connection has its turn
constexpr size_t kSparePipes = 8;

void set(int socket, int level, int option, int value) { ::setsockopt(socket, level, option, &value, sizeof value); }

// Small pieces at once, as they came; a peer that is gone without a word is noticed within three minutes.
void prepare(int socket) {
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, 30);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

Connection::State stopped(int err) {
  if (err == EINTR) return Connection::State::busy;  // nothing was moved, and nobody would call again
  return err == EAGAIN ? Connection::State::waiting : Connection::State::broken;
}

}  // namespace

Pipe PipePool::take() {
  if (pipes_.empty()) {
    auto made = create_pipe();
    return made ? std::move(*made) : Pipe();
  }
  Pipe pipe = std::move(pipes_.back());
  pipes_.pop_back();
  return pipe;
}

void PipePool::give(Pipe pipe) {
  if (pipes_.size() < kSparePipes) pipes_.push_back(std::move(pipe));
}

Connection::Connection(Fd client, const Address& sandbox, uint16_t port)
    : client_(std::move(client)), sandbox_(::socket(family_of(sandbox.ip), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  prepare(client_.get());
  prepare(sandbox_.get());
  set(sandbox_.get(), IPPROTO_TCP, TCP_SYNCNT, 3);  // 15 s, where two minutes would be usual
  const SocketAddress to = socket_address(sandbox, port);
  broken_ = ::connect(sandbox_.get(), to.get(), to.size) < 0 && errno != EINPROGRESS;
}

bool Connection::connected() {
  int err = 0;
  socklen_t size = sizeof err;
  ::getsockopt(sandbox_.get(), SOL_SOCKET, SO_ERROR, &err, &size);
  if (err) broken_ = true;
  SocketAddress peer;
  connecting_ = ::getpeername(sandbox_.get(), peer.get(), &peer.size) < 0;
  return !connecting_;
}

Connection::State Connection::pump(PipePool& pipes) {
  if (!broken_ && connecting_ && !connected() && !broken_) return State::waiting;
  if (broken_) return State::broken;
  const State there = move(there_, client_.get(), sandbox_.get(), pipes);
  const State back = move(back_, sandbox_.get(), client_.get(), pipes);
  if (there == State::broken || back == State::broken) return State::broken;
  if (there == State::finished && back == State::finished) return State::finished;
  return there == State::busy || back == State::busy ? State::busy : State::waiting;
}

Connection::State Connection::move(Flow& flow, int from, int to, PipePool& pipes) {
  for (int i = 0; i < kShare && !flow.shut; ++i) {
    if (flow.held == 0 && !flow.ended) {
      if (!flow.pipe.write) flow.pipe = pipes.take();
      if (!flow.pipe.write) return State::broken;
      // The pipe is empty: EAGAIN is about the socket.
      const ssize_t got = ::splice(from, nullptr, flow.pipe.write.get(), nullptr, kPiece, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      const int err = errno;
      if (got <= 0) pipes.give(std::exchange(flow.pipe, {}));
      if (got < 0) return stopped(err);
      flow.held = static_cast<size_t>(got);
      flow.ended = got == 0;
    }
    if (flow.held > 0) {
      const ssize_t sent = ::splice(flow.pipe.read.get(), nullptr, to, nullptr, flow.held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (sent < 0) return stopped(errno);
      flow.held -= static_cast<size_t>(sent);
      if (flow.held == 0) pipes.give(std::exchange(flow.pipe, {}));
    }
    if (flow.held == 0 && flow.ended) {
      ::shutdown(to, SHUT_WR);
      flow.shut = true;
    }
  }
  return flow.shut ? State::finished : State::busy;
}

void Connection::abort() {
  const linger at_once{1, 0};
  for (const int socket : {client_.get(), sandbox_.get()})
    ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

}  // namespace bailey::network
