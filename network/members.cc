#include "network/members.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "base/slot.h"

namespace bailey::network {

namespace {

constexpr const char* kFile = ".network-members";
constexpr size_t kText = 64, kRecord = 2 * kText;

using Record = std::array<char, kRecord>;

std::string text_at(const Record& record, size_t offset) {
  return {record.data() + offset, ::strnlen(record.data() + offset, kText)};
}

off_t place_of(uint32_t slot) { return static_cast<off_t>(slot) * static_cast<off_t>(kRecord); }

Result<> write_record(const Fd& file, uint32_t slot, const Record& record) {
  const ssize_t written = ::pwrite(file.get(), record.data(), record.size(), place_of(slot));
  if (written == static_cast<ssize_t>(record.size())) return {};
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
  if (network.empty() || network.size() >= kText || host.size() >= kText)
    return fail(Fault::failed, "'" + network + "' cannot be joined as '" + host + "': too long");
  Record record{};
  network.copy(record.data(), network.size());
  host.copy(record.data() + kText, host.size());
  TRY(write_record(file_, slot, record));
  std::atomic_thread_fence(std::memory_order_seq_cst);  // two who write and then read must not both miss the other's writing
  return {};
}

Result<std::vector<Member>> Members::others(const std::string& network, uint32_t self) const {
  std::vector<Member> result;
  for (uint32_t slot = 0;; ++slot) {
    Record record{};
    const ssize_t got = ::pread(file_.get(), record.data(), record.size(), place_of(slot));
    if (got < 0) return sys_error("reading the members of shared networks", errno);
    if (got < static_cast<ssize_t>(record.size())) return result;
    if (slot == self || text_at(record, 0) != network || !TRY(Slot::is_held(slots_.get(), slot))) continue;
    result.push_back({slot, text_at(record, kText)});
  }
}

}  // namespace bailey::network
