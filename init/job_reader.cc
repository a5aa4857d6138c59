#include "init/job_reader.h"

namespace bailey::init {

namespace {

// The n-th number of a frame, which may stand anywhere: an order behind a job is not aligned.
uint32_t number_at(const void* bytes, size_t n) {
  const auto* from = static_cast<const unsigned char*>(bytes) + n * sizeof(uint32_t);
  uint32_t value = 0;
  for (size_t i = 0; i < sizeof value; ++i) reinterpret_cast<unsigned char*>(&value)[i] = from[i];
  return value;
}

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

Frame next_frame(const void* bytes, size_t size) {
  using Kind = Frame::Kind;
  if (size < 2 * sizeof(uint32_t)) return {};
  const uint32_t magic = number_at(bytes, 0), value = number_at(bytes, 1);
  if (magic == kBeginMagic) return {Kind::begin, sizeof(Begin), 0, 0, 0};
  if (magic == kJobMagic && value >= sizeof(JobHeader) && value <= kMaxJobBytes) return {Kind::job, value, 0, 0, 0};
  const bool order = magic == kOrderMagic && value >= 1 && value <= 64;
  const bool data = magic == kDataMagic && value <= kMaxData, room = magic == kRoomMagic && value <= kWindow;
  if (!order && !data && !room) return {Kind::malformed, 0, 0, 0, 0};
  if (size < (order ? sizeof(Order) : sizeof(Data))) return {};
  if (order) return {Kind::order, sizeof(Order), value, number_at(bytes, 2), 0};
  return {data ? Kind::data : Kind::room, static_cast<uint32_t>(sizeof(Data)) + (data ? value : 0), value, number_at(bytes, 2),
          number_at(bytes, 3)};
}

size_t pointers_of_job(const void* bytes, size_t size) {
  if (size < sizeof(JobHeader)) return 0;
  const auto* header = static_cast<const JobHeader*>(bytes);
  // Each string takes a byte at least. This bounds every sum below, too.
  if (header->argc == 0 || header->argc > size || header->envc > size) return 0;
  return size_t{header->argc} + 1 + header->envc + 1;
}

bool read_job(const void* bytes, size_t size, const char** pointers, Job& job) {
  if (pointers_of_job(bytes, size) == 0 || next_frame(bytes, size).kind != Frame::Kind::job ||
      next_frame(bytes, size).size != size)
    return false;
  const auto* header = static_cast<const JobHeader*>(bytes);
  if (header->rlimit_count > kMaxRlimits || header->gid_count > kMaxGids || header->filter_count > kMaxInstructions)
    return false;
  const bool privileged = header->flags & kJobPrivileges;
  const size_t rlimits_at = sizeof(JobHeader) + (privileged ? sizeof(JobPrivileges) : 0);
  const size_t gids_at = rlimits_at + header->rlimit_count * sizeof(JobRlimit);
  const size_t filter_at = gids_at + header->gid_count * sizeof(uint32_t);
  const size_t fixed = filter_at + header->filter_count * sizeof(JobInstruction);
  if (fixed > size) return false;

  const char* begin = static_cast<const char*>(bytes);
  const char* text = begin + fixed;
  const char* end = begin + size;
  job.header = header;
  job.privileges = privileged ? reinterpret_cast<const JobPrivileges*>(begin + sizeof(JobHeader)) : nullptr;
  job.rlimits = reinterpret_cast<const JobRlimit*>(begin + rlimits_at);
  job.gids = reinterpret_cast<const uint32_t*>(begin + gids_at);
  job.filter = reinterpret_cast<const JobInstruction*>(begin + filter_at);
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
