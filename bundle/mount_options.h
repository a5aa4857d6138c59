// The options of mounts, in one table: which of them `run` takes for a volume, what each sets and clears for mount_setattr(2),
// and whether gVisor's own kernel is told of it. Guards and both backends read it, so that an option works on either backend or
// is refused by name. The names are those of mount(8) and of the OCI runtime specification (config.md, "Mounts"). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bailey::bundle {

enum class MountKind { bind, tmpfs };

// Options of one group say different things about one property: two that differ contradict each other.
enum class OptionGroup { binding, writing, set_id, devices, programs, file_times, directory_times, propagation };

struct MountOption {
  std::string_view name;
  OptionGroup group;
  uint64_t set = 0;    // MOUNT_ATTR_*, of the mount and of all mounts below it
  uint64_t clear = 0;  // ... taken away first: what the kernel does with access times is a field, and is cleared as a whole
  bool for_tmpfs = false;
  bool sentry = false;  // gVisor enforces it itself; the others hold where the host reads and writes the files for it
};

// nullptr: not in the table.
const MountOption* find_mount_option(std::string_view name);
// The kernel lets only root of the host change this property (mount_setattr(2), "locked" flags).
bool requires_root(OptionGroup group);

struct OptionRefusal {
  std::string why;  // follows "option 'NAME'"
  std::string remedy;
};
// Why a volume of that kind cannot have `option`; empty: it can. Contradictions are another question.
std::optional<OptionRefusal> refused_option(MountKind kind, std::string_view option);
// The first two options that contradict each other or give one key twice: "'ro' and 'rw'"; empty: there are none.
std::string contradiction(const std::vector<std::string>& options);

struct MountAttributes {
  uint64_t set = 0, clear = 0;  // MOUNT_ATTR_*
  friend bool operator==(const MountAttributes&, const MountAttributes&) = default;
};
// The attributes that these options set and clear. Of two that contradict each other the later one wins, as in mount(8).
// Options that are not in the table are skipped.
MountAttributes attributes_of(std::span<const std::string> options);

}  // namespace bailey::bundle
