#include "init/relay.h"

#include <asm/ioctls.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>

namespace bailey::init {

namespace {

constexpr long kPipeBytes = 1 << 20;
constexpr long kLargeMove = 2 << 10;
constexpr long kHugeMove = 64 << 10;  // large writes: the writer may be waiting for room
constexpr long kHalfAPipe = 32 << 10;
constexpr int kManyMoves = 16;
constexpr long kRestNs = 500'000;

bool holds_something(int pipe) {
  int size = 0;
  return kernel::ioctl(pipe, FIONREAD, &size) == 0 && size > 0;
}

// gVisor of 2022 splices 0 bytes, which should mean the end, where nothing can be moved now.
bool has_writers(int pipe) {
  pollfd one{pipe, POLLIN, 0};
  return kernel::poll(&one, 1, 0) == 0 || (one.revents & POLLHUP) == 0;
}

}  // namespace

void OutputRelay::Stream::close() {
  if (from >= 0) kernel::close(from);
  if (to >= 0) kernel::close(to);
  from = to = -1;
}

// Once: poll(2) says whether there is more, and costs less than a splice in vain.
void OutputRelay::Stream::move() {
  if (from < 0) return;
  const long moved = kernel::splice(from, to, kPipeBytes);
  const bool ended = moved == 0 && !has_writers(from) && !holds_something(from);
  sink_full = (moved == 0 || moved == -EAGAIN) && holds_something(from);
  large_moves = moved < kLargeMove ? 0 : large_moves < kManyMoves ? large_moves + 1 : kManyMoves;
  resting = large_moves == kManyMoves && moved < kHugeMove;
  if (!enlarged && (moved >= kHalfAPipe || large_moves == kManyMoves)) {
    (void)kernel::set_pipe_size(from, kPipeBytes);
    enlarged = true;
  }
  const bool reader_is_gone = moved < 0 && moved != -EAGAIN && moved != -EINTR;
  if (reader_is_gone || ended) close();
}

long OutputRelay::open(Stream& stream, int number) {
  int ends[2];
  if (const long made = kernel::pipe(ends); made < 0) return made;
  stream.from = ends[0];
  const long kept = kernel::duplicate_above(number, 3);
  if (kept < 0) return kept;
  stream.to = static_cast<int>(kept);
  long done = kernel::set_nonblocking(stream.to);
  if (done >= 0) done = kernel::set_nonblocking(stream.from);
  if (done >= 0) done = kernel::duplicate_to(ends[1], number);
  kernel::close(ends[1]);
  return done < 0 ? done : 0;
}

long OutputRelay::open(bool merged) {
  long done = open(streams_[0], 1);
  if (done == 0) done = merged ? kernel::duplicate_to(1, 2) : open(streams_[1], 2);
  return done < 0 ? done : 0;
}

void OutputRelay::add_interest(pollfd* entries) const {
  for (const Stream& stream : streams_) {
    *entries++ = {stream.sink_full || stream.resting ? -1 : stream.from, POLLIN, 0};
    *entries++ = {stream.to, static_cast<short>(stream.sink_full ? POLLOUT : 0), 0};
  }
}

long OutputRelay::rest_ns() const {
  for (const Stream& stream : streams_)
    if (stream.resting && stream.from >= 0) return kRestNs;
  return -1;
}

void OutputRelay::serve(const pollfd* entries) {
  for (Stream& stream : streams_) {
    if (entries[1].revents & (POLLERR | POLLHUP)) stream.close();
    else if (entries[0].revents || entries[1].revents || stream.resting) stream.move();
    entries += 2;
  }
}

void OutputRelay::drain(int hangup) {
  for (;;) {
    pollfd entries[kPollSlots + 1];
    for (Stream& stream : streams_) {
      if (stream.from >= 0 && !holds_something(stream.from)) stream.close();
      stream.move();
      stream.resting = false;
    }
    add_interest(entries);
    entries[kPollSlots] = {hangup, 0, 0};
    bool waits = false;
    for (unsigned i = 0; i < kPollSlots; ++i) waits |= entries[i].fd >= 0;
    if (!waits || kernel::poll(entries, kPollSlots + 1, -1) < 0 || entries[kPollSlots].revents) return;
    serve(entries);
  }
}

}  // namespace bailey::init
