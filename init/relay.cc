#include "init/relay.h"

#include <asm/ioctls.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/poll.h>

namespace bailey::init {

namespace {

constexpr long kPipeBytes = 1 << 20;
constexpr long kManyBytes = 32 << 10;  // the pipe was half full: this workload writes a lot

bool holds_something(int pipe) {
  int size = 0;
  return kernel::ioctl(pipe, FIONREAD, &size) == 0 && size > 0;
}

}  // namespace

void Relay::Stream::close() {
  if (from >= 0) kernel::close(from);
  if (to >= 0) kernel::close(to);
  from = to = -1;
}

// Once: poll(2) says whether there is more, and costs less than a splice in vain.
void Relay::Stream::move() {
  if (from < 0) return;
  const long moved = kernel::splice(from, to, kPipeBytes);
  sink_full = moved == -EAGAIN && holds_something(from);
  if (moved >= kManyBytes && !enlarged) {
    (void)kernel::set_pipe_size(from, kPipeBytes);
    enlarged = true;
  }
  if (moved == 0 || (moved < 0 && moved != -EAGAIN && moved != -EINTR)) close();  // every writer is gone, or the reader is
}

long Relay::open(Stream& stream, int number) {
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

long Relay::open(bool merged) {
  long done = open(streams_[0], 1);
  if (done == 0) done = merged ? kernel::duplicate_to(1, 2) : open(streams_[1], 2);
  return done < 0 ? done : 0;
}

void Relay::add_interest(pollfd* entries) const {
  for (const Stream& stream : streams_) {
    *entries++ = {stream.sink_full ? -1 : stream.from, POLLIN, 0};
    *entries++ = {stream.to, static_cast<short>(stream.sink_full ? POLLOUT : 0), 0};
  }
}

void Relay::serve(const pollfd* entries) {
  for (Stream& stream : streams_) {
    if (entries[1].revents & (POLLERR | POLLHUP)) stream.close();
    else if (entries[0].revents || entries[1].revents) stream.move();
    entries += 2;
  }
}

void Relay::drain(int hangup) {
  for (;;) {
    pollfd entries[kPollSlots + 1];
    for (Stream& stream : streams_) {
      stream.move();
      if (!stream.sink_full && stream.from >= 0 && !holds_something(stream.from)) stream.close();
    }
    add_interest(entries);
    entries[kPollSlots] = {hangup, 0, 0};
    bool waits = false;
    for (unsigned i = 0; i < kPollSlots; ++i) waits |= entries[i].fd >= 0;
    if (!waits || kernel::poll(entries, kPollSlots + 1) < 0 || entries[kPollSlots].revents) return;
    serve(entries);
  }
}

}  // namespace bailey::init
