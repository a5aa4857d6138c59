#include "network/members.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/files.h"
#include "base/slot.h"

namespace bailey::network {

namespace {

constexpr const char* kFile = ".network-members";
constexpr size_t kLongestLabel = 63;  // RFC 1035 2.3.4

struct Record {
  char network[56];
  int64_t since;
  char host[64];
};
constexpr size_t kRecord = 128;
static_assert(sizeof(Record) == kRecord);

template <size_t N>
std::string text_of(const char (&field)[N]) {
  return {field, ::strnlen(field, N)};
}

off_t place_of(uint32_t slot) { return static_cast<off_t>(slot) * static_cast<off_t>(kRecord); }

Result<> write_record(const Fd& file, uint32_t slot, const Record& record) {
  const ssize_t written = ::pwrite(file.get(), &record, sizeof record, place_of(slot));
  if (written == static_cast<ssize_t>(sizeof record)) return {};
  return sys_error("writing a record of the members of shared networks", written < 0 ? errno : ENOSPC);
}

}  // namespace

Result<Members> Members::open(int directory, const std::string& slots) {
  Members members;
  members.file_ = TRY(files::open_at(directory, kFile, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  members.slots_ = TRY(files::open_at(directory, slots, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  return members;
}

Result<> Members::clear(int directory, uint32_t slot) {
  const auto file = files::open_at(directory, kFile, O_RDWR | O_NOFOLLOW);
  if (!file && file.error().sys == ENOENT) return {};
  if (!file) return std::unexpected(file.error());
  char first = 0;
  if (::pread(file->get(), &first, 1, place_of(slot)) != 1 || first == 0) return {};
  return write_record(*file, slot, {});
}

Result<> Members::enter(uint32_t slot, const std::string& network, const std::string& host) {
  if (network.empty() || network.size() >= sizeof Record::network || host.size() >= sizeof Record::host)
    return fail(Fault::failed, "'" + network + "' cannot be joined as '" + host + "': too long");
  Record record{};
  network.copy(record.network, network.size());
  host.copy(record.host, host.size());
  record.since = clock::monotonic_ns();
  TRY(write_record(file_, slot, record));
  std::atomic_thread_fence(std::memory_order_seq_cst);  // two who write and then read must not both miss the other's writing
  return {};
}

void Members::leave(uint32_t slot) { (void)write_record(file_, slot, {}); }

Result<std::vector<Member>> Members::others(const std::string& network, uint32_t self) const {
  std::vector<std::pair<int64_t, Member>> found;
  for (uint32_t slot = 0;; ++slot) {
    Record record{};
    const ssize_t got = ::pread(file_.get(), &record, sizeof record, place_of(slot));
    if (got < 0) return sys_error("reading the members of shared networks", errno);
    if (got < static_cast<ssize_t>(sizeof record)) break;
    if (slot == self || text_of(record.network) != network || !TRY(Slot::is_held(slots_.get(), slot))) continue;
    found.push_back({record.since, {slot, text_of(record.host)}});
  }
  std::ranges::stable_sort(found, {}, &std::pair<int64_t, Member>::first);
  std::vector<Member> result;
  for (auto& [unused, member] : found) result.push_back(std::move(member));
  return result;
}

std::string label_of(std::string_view hostname) {
  std::string label(hostname);
  for (char& c : label) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  // A letter first (RFC 952): 10 and 0x7f would be addresses to some.
  if (label.empty() || label.size() > kLongestLabel || !letter(label.front()) || label.back() == '-') return {};
  if (!std::ranges::all_of(label, inner)) return {};
  for (const char* everybodys : {"localhost", "ip6-localhost", "ip6-loopback", "bailey"})
    if (label == everybodys) return {};
  return label;
}

}  // namespace bailey::network
