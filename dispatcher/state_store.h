// StateStore: which sandboxes exist, one directory per id, so that gc can find and remove what a killed Bailey left.
//
// clang-format off
//   /run/bailey/            as root; otherwise $XDG_RUNTIME_DIR/bailey, or /tmp/bailey-UID without that variable.
//                           Mode 0700, the caller's own, never a link; an ordinary user also needs directories
//                           above it that nobody else can replace
//     ID/                   locked (flock(2)) by its owner; the kernel unlocks it however the owner ends
//       record.json         describes the owner and what it has made; replaced by rename(2)
//       to-init, from-init  the channel to an independent sandbox (init/named_channel.h)
//     .NAME                 belongs to a backend; never collected
//     .kept-WHAT -> ID      what an independent sandbox keeps without an owner; collected when ID is gone
// clang-format on
//
// The lock decides whether an owner is alive; the record only describes, but for an independent sandbox: that one lives as long
// as its first process, which is known by its start time and the boot id. Without a
// record that can be read, gc looks below its own cgroup parent only, and an independent sandbox that nobody holds counts as
// dead; everything else it finds by the id, which is the directory's name. A process holds a shared lock on the top directory
// while it makes an entry, and an exclusive one while it looks for a dead owner, so nobody sees a half-made entry. While a dead
// entry is collected only that entry is locked, so a slow one delays no other.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/state_record.h"

namespace bailey::dispatcher {

// This process's hold on one id. Removed from the disk on destruction, which comes before that of the store.
class StateEntry {
 public:
  StateEntry() = default;
  StateEntry(StateEntry&&) noexcept = default;
  StateEntry& operator=(StateEntry&& other) noexcept;
  ~StateEntry() { remove(); }
  // In place of the one before, wholly or not at all; until the first time the entry has no record.
  Result<> write(const StateRecord& record);
  int directory() const { return directory_.get(); }  // its descriptor; the entry's
  void remove();
  // Unlocked and still there. gc takes it for a dead one's unless its record is of an independent sandbox that lives.
  void leave() { directory_.reset(); }

 private:
  friend class StateStore;
  Fd directory_;
  int top_ = -1;  // the store's
  std::string id_, path_;
};

class StateStore {
 public:
  // The directory above, made when it is missing. Errors name the path and the errno.
  static Result<StateStore> open();
  static std::string default_path();  // of open(); makes nothing
  static Result<StateStore> open_at(const std::string& path);

  // Reserves `id`. When its last owner died, `collect` is called first for what that one left, as by
  // collect_dead below. Error when a living sandbox has that id.
  using Collector = std::function<Result<>(const std::string& id)>;
  Result<StateEntry> create(const std::string& id, const Collector& collect);

  // Calls `collect` for each id whose owner is dead and removes its directory if that went well. One that
  // cannot be collected stays, with the reason, and the others are collected all the same; so does one whose
  // owner was killed and does not end. Names that are no sandbox name are not ours and stay. Error: the top
  // directory cannot be read.
  struct Left {
    std::string id;
    Error why;
  };
  struct Sweep {
    std::vector<std::string> removed;
    std::vector<Left> left;
  };
  Result<Sweep> collect_dead(const Collector& collect);

  // Of `id` alone, whatever its record says, if nobody lives there. Errors: it lives; it cannot be collected.
  Result<> collect_one(const std::string& id, const Collector& collect);

  // The hold on an independent sandbox that its owner has left. Errors (bad_input): there is none of that name, it has an owner
  // at this moment, or it is not independent.
  Result<StateEntry> attach(const std::string& id);

  // Of every sandbox that there is, dead ones included.
  Result<std::vector<std::string>> ids() const;
  // Of those that have an owner at this moment, or are independent and run. Waits while an entry is made.
  Result<std::vector<std::string>> living() const;
  // The record of a sandbox; error when there is none or it cannot be read.
  Result<StateRecord> read(const std::string& id) const;
  const std::string& path() const { return path_; }
  int directory() const { return top_.get(); }  // its descriptor; the store's

 private:
  enum class Holder { nobody, living, dead };
  Result<Holder> holder_of(const std::string& id, Fd& held) const;
  Result<Holder> collect_if_dead(const std::string& id, const Collector& collect);
  Result<std::optional<StateEntry>> try_create(const std::string& id);
  Result<> drop_links_of_the_gone();
  bool is_entry(const Fd& directory, const std::string& id) const;
  bool lives_alone(const std::string& id) const;
  std::optional<Error> why_it_stays(const std::string& id) const;
  std::string path_;
  Fd top_;
};

}  // namespace bailey::dispatcher
