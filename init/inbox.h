// What has come from the backend and was not yet taken, as whole frames. Holds memory only while something is in it.
#pragma once

#include "init/job_reader.h"
#include "init/kernel.h"

namespace bailey::init {

class Inbox {
 public:
  // Reads what is there: how many bytes, 0 at the end of file, or -errno.
  long read(int fd);
  // The frame at the front; Kind::incomplete until it is whole.
  Frame front() const;
  const char* bytes() const { return bytes_ + at_; }  // of the frame at the front; aligned to 8 for a job
  void drop(const Frame& frame);                      // takes it off the front

 private:
  static constexpr size_t kBytes = kMaxJobBytes + 2 * kMaxChunk;
  void align();
  char* bytes_ = nullptr;
  size_t at_ = 0, held_ = 0;  // from at_ on
};

// The job at the front of an inbox, with the memory that its pointers take.
class ReceivedJob {
 public:
  ReceivedJob(const char* bytes, size_t size);
  ReceivedJob(const ReceivedJob&) = delete;
  ~ReceivedJob();
  int error() const { return error_; }  // errno; 0: job() is whole
  const Job& job() const { return job_; }

 private:
  const char** pointers_ = nullptr;
  size_t pointer_bytes_ = 0;
  int error_ = 0;
  Job job_;
};

}  // namespace bailey::init
