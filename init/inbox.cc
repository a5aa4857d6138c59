#include "init/inbox.h"

#include <linux/errno.h>

namespace bailey::init {

// A message of a socket is cut off where it does not fit: there is always room for one.
long Inbox::read(int fd) {
  if (!bytes_) bytes_ = static_cast<char*>(kernel::map(kBytes));
  if (!bytes_) return -ENOMEM;
  align();
  const long got = kernel::read(fd, bytes_ + held_, kBytes - held_);
  if (got > 0) held_ += static_cast<size_t>(got);
  return got;
}

Frame Inbox::front() const {
  const Frame frame = bytes_ ? next_frame(bytes(), held_) : Frame{};
  return frame.size > held_ ? Frame{} : frame;
}

void Inbox::drop(const Frame& frame) {
  at_ += frame.size;
  held_ -= frame.size;
  if (held_ == 0) {
    kernel::unmap(bytes_, kBytes);
    bytes_ = nullptr;
    at_ = 0;
  } else if (at_ % 8 != 0 || at_ > kMaxChunk) {
    align();
  }
}

void Inbox::align() {
  for (size_t i = 0; at_ != 0 && i < held_; ++i) bytes_[i] = bytes_[at_ + i];
  at_ = 0;
}

ReceivedJob::ReceivedJob(const char* bytes, size_t size) {
  const size_t pointers = pointers_of_job(bytes, size);
  error_ = EBADMSG;
  if (pointers == 0) return;
  pointer_bytes_ = pointers * sizeof(char*);
  pointers_ = static_cast<const char**>(kernel::map(pointer_bytes_));
  error_ = !pointers_ ? ENOMEM : read_job(bytes, size, pointers_, job_) ? 0 : EBADMSG;
}

ReceivedJob::~ReceivedJob() {
  if (pointers_) kernel::unmap(static_cast<void*>(pointers_), pointer_bytes_);
}

}  // namespace bailey::init
