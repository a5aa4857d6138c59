// StateStore: which sandboxes exist, one directory per id, so that gc can find and remove what a killed Bailey left.
//
// clang-format off
//   /run/bailey/            as root; otherwise $XDG_RUNTIME_DIR/bailey, or /tmp/bailey-UID without that variable.
//                           Mode 0700, the caller's own, never a link; an ordinary user also needs directories
//                           above it that nobody else can replace
//     ID/                   locked (flock(2)) by its owner; the kernel unlocks it however the owner ends
//       record.json         describes the owner and what it has made
//     .NAME                 belongs to a backend; never collected
// clang-format on
//
// The lock decides whether an owner is alive; the record only describes. A record that is missing, cut or garbage changes
// nothing for gc, because an id is the directory's name and gc finds everything by the id. A process holds a shared lock on
// the top directory while it makes an entry, and an exclusive one while it looks for a dead owner, so nobody sees a half-made
// entry. While a dead entry is collected only that entry is locked, so a slow one delays no other.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::dispatcher {

struct StateRecord {
  int pid = 0;
  uint64_t pid_start_time =
      0;  // field 22 of /proc/PID/stat: with the boot id it tells this process from a later one of that pid
  std::string boot_id;
  std::string backend, trust;
  std::vector<std::string> cgroups;              // where they are depends on the cgroup that Bailey was started in
  std::string address, address6;                 // on the bridge; empty: it has none
  std::string shared_network;                    // the name of the one that it shares; empty: none
  std::vector<std::string> published;            // its ports on the host
  std::string created;                           // RFC 3339
  static Result<StateRecord> of_this_process();  // the first three and `created`
};

// This process's hold on one id. Removed from the disk on destruction, which comes before that of the store.
class StateEntry {
 public:
  StateEntry() = default;
  StateEntry(StateEntry&&) noexcept = default;
  StateEntry& operator=(StateEntry&& other) noexcept;
  ~StateEntry() { remove(); }
  Result<> write(const StateRecord& record);  // once; until then the entry has no record
  void remove();
  void leave() { directory_.reset(); }  // unlocked and still there: gc takes it for a dead one's

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

  // Of every sandbox that there is, dead ones included.
  Result<std::vector<std::string>> ids() const;
  // Of those whose owners live at this moment. Waits for who makes or collects an entry.
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
  std::optional<Error> why_it_stays(const std::string& id) const;
  std::string path_;
  Fd top_;
};

}  // namespace bailey::dispatcher
