#include "init/job_reader.h"

namespace bailey::init {

namespace {

// Takes `count` strings from `text`; false when they are not all there.
bool take_strings(const char*& text, const char* end, size_t count, const char** to) {
  for (size_t i = 0; i < count; ++i) {
    to[i] = text;
    while (text < end && *text) ++text;
    if (text == end) return false;
    ++text;
  }
  return true;
}

}  // namespace

bool announces_job(const void* bytes) {
  const auto* header = static_cast<const JobHeader*>(bytes);
  return header->magic == kJobMagic && header->total_bytes >= sizeof(JobHeader) && header->total_bytes <= kMaxJobBytes;
}

size_t pointers_of_job(const void* bytes, size_t size) {
  if (size < sizeof(JobHeader)) return 0;
  const auto* header = static_cast<const JobHeader*>(bytes);
  // Each string takes a byte at least. This bounds every sum below, too.
  if (header->argc == 0 || header->argc > size || header->envc > size) return 0;
  return size_t{header->argc} + 1 + header->envc + 1;
}

bool read_job(const void* bytes, size_t size, const char** pointers, Job& job) {
  if (pointers_of_job(bytes, size) == 0 || !announces_job(bytes)) return false;
  const auto* header = static_cast<const JobHeader*>(bytes);
  if (header->total_bytes != size || header->rlimit_count > kMaxRlimits || header->gid_count > kMaxGids) return false;
  const size_t fixed = sizeof(JobHeader) + header->rlimit_count * sizeof(JobRlimit) + header->gid_count * sizeof(uint32_t);
  if (fixed > size) return false;

  const char* begin = static_cast<const char*>(bytes);
  const char* text = begin + fixed;
  const char* end = begin + size;
  job.header = header;
  job.rlimits = reinterpret_cast<const JobRlimit*>(begin + sizeof(JobHeader));
  job.gids = reinterpret_cast<const uint32_t*>(begin + sizeof(JobHeader) + header->rlimit_count * sizeof(JobRlimit));
  const char** env = pointers + header->argc + 1;
  if (!take_strings(text, end, 1, &job.cwd) || !take_strings(text, end, header->argc, pointers) ||
      !take_strings(text, end, header->envc, env) || text != end)
    return false;
  pointers[header->argc] = nullptr;
  env[header->envc] = nullptr;
  job.argv = pointers;
  job.env = env;
  return true;
}

const char* find_variable(const char* const* env, const char* name) {
  for (; *env; ++env) {
    size_t i = 0;
    while (name[i] && (*env)[i] == name[i]) ++i;
    if (!name[i] && (*env)[i] == '=') return *env + i + 1;
  }
  return nullptr;
}

}  // namespace bailey::init
