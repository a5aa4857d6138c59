// Any bytes as init's channel: frames are told apart without reading past the end, and a job is whole or
// refused.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "init/job_reader.h"
#include "tests/fuzz/check.h"

using namespace bailey::init;

namespace {

// Everything that the job points to lies in it and ends in it. The sanitizers see a read that does not.
void check_job(const uint8_t* data, size_t size) {
  std::vector<uint64_t> aligned(size / sizeof(uint64_t) + 1);
  std::memcpy(aligned.data(), data, size);
  const size_t places = pointers_of_job(aligned.data(), size);
  CHECK(places <= 2 * size + 2);
  std::vector<const char*> pointers(places);
  Job job;
  if (places == 0 || !read_job(aligned.data(), size, pointers.data(), job)) return;
  const char* begin = reinterpret_cast<const char*>(aligned.data());
  size_t strings = 0;
  for (const char* const* list : {job.argv, job.env})
    for (; *list; ++list, ++strings) CHECK(*list > begin && *list + std::strlen(*list) < begin + size);
  CHECK(strings == size_t{job.header->argc} + job.header->envc);
  CHECK(job.cwd > begin);
  CHECK(reinterpret_cast<const char*>(job.gids + job.header->gid_count) <= job.cwd);
  CHECK(reinterpret_cast<const char*>(job.filter + job.header->filter_count) == job.cwd);
  const char* path = find_variable(job.env, "PATH");
  CHECK(!path || std::strlen(path) < size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (size_t at = 0; at < size;) {
    const Frame frame = next_frame(data + at, size - at);
    if (frame.kind == Frame::Kind::incomplete || frame.kind == Frame::Kind::malformed) break;
    CHECK(frame.size >= sizeof(Order));
    CHECK(frame.kind != Frame::Kind::order || (frame.value >= 1 && frame.value <= 64));
    CHECK(frame.kind != Frame::Kind::data || (frame.value <= kMaxData && frame.size == sizeof(Data) + frame.value));
    if (frame.size > size - at) break;
    at += frame.size;
  }
  check_job(data, size);
  if (size < sizeof(JobHeader)) return 0;
  // The same with a head that fits, so that what lies behind it is reached.
  std::vector<uint8_t> bytes(data, data + size);
  const uint32_t head[] = {kJobMagic, static_cast<uint32_t>(size)};
  std::memcpy(bytes.data(), head, sizeof head);
  check_job(bytes.data(), size);
  return 0;
}
