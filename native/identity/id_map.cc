#include "native/identity/id_map.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <sstream>

#include "base/command.h"
#include "base/files.h"
#include "base/units.h"

namespace bailey::native {

namespace {

constexpr size_t kMaxFile = 1 << 20;
constexpr uint32_t kUnmapped = 65534;
constexpr const char* kSubuid = "/etc/subuid";
constexpr const char* kSubgid = "/etc/subgid";

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields;
  std::stringstream stream(line);
  for (std::string field; std::getline(stream, field, ':');) fields.push_back(field);
  return fields;
}

// The caller's line of /etc/passwd, which may be somewhere else (LDAP). Read by hand: getpwuid would load the host's NSS
// modules.
struct Account {
  std::string name, gid;
};
Account account() {
  std::stringstream lines(files::read("/etc/passwd", kMaxFile).value_or(""));
  for (std::string line; std::getline(lines, line);)
    if (const auto fields = split(line); fields.size() > 3 && fields[2] == std::to_string(::geteuid()))
      return {fields[0], fields[3]};
  return {};
}

// newuidmap and newgidmap are set-user-id, and serve nobody whose group is another than that of /etc/passwd (newgrp(1)).
bool helpers_serve_us() {
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return false;
  const std::string gid = account().gid;
  return gid.empty() || gid == std::to_string(::getegid());
}

struct Range {
  uint32_t first = 0, count = 0;
};

// In a user namespace of somebody else's (a container) /etc/subuid may speak of ids that do not exist.
bool exists_here(uint64_t first, uint64_t count, const char* map_file) {
  std::stringstream lines(files::read(map_file, kMaxFile).value_or(""));
  for (uint64_t inner = 0, outer = 0, size = 0; lines >> inner >> outer >> size;)
    if (first >= inner && first + count <= inner + size) return true;
  return false;
}

// The caller's first range (subuid(5): NAME-OR-UID:FIRST:COUNT).
std::optional<Range> subordinate_range(const char* file, const char* map_file) {
  const uint32_t uid = ::geteuid();
  const std::string name = account().name;
  std::stringstream lines(files::read(file, kMaxFile).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const auto fields = split(line);
    if (fields.size() != 3 || fields[0].empty() || (fields[0] != name && fields[0] != std::to_string(uid))) continue;
    const auto first = units::parse_unsigned(fields[1]);
    const auto count = units::parse_unsigned(fields[2]);
    if (!first || !count || *first > UINT32_MAX || *count == 0 || !exists_here(*first, *count, map_file)) continue;
    return Range{static_cast<uint32_t>(*first), static_cast<uint32_t>(std::min<uint64_t>(*count, UidRange::kSize - 1))};
  }
  return std::nullopt;
}

std::string find_helper(const char* name) {
  for (const char* directory : {"/usr/bin/", "/bin/", "/usr/local/bin/"})
    if (std::string path = std::string(directory) + name; ::access(path.c_str(), X_OK) == 0) return path;
  return {};
}

std::string map_text(const std::vector<bundle::IdMapping>& map) {
  std::string text;
  for (const bundle::IdMapping& m : map)
    text += std::to_string(m.container_id) + " " + std::to_string(m.host_id) + " " + std::to_string(m.size) + "\n";
  return text;
}

}  // namespace

IdMapKind IdMap::kind_here() {
  if (::geteuid() == 0) return IdMapKind::own_range;
  if (!helpers_serve_us()) return IdMapKind::single;
  const bool helpers = !find_helper("newuidmap").empty() && !find_helper("newgidmap").empty();
  return helpers && subordinate_range(kSubuid, "/proc/self/uid_map") && subordinate_range(kSubgid, "/proc/self/gid_map")
             ? IdMapKind::subordinate
             : IdMapKind::single;
}

Result<> IdMap::keep(const std::string& runtime_directory, const std::string& id) const {
  if (kind_ != IdMapKind::own_range) return {};
  const Fd directory = TRY(files::open(runtime_directory, O_RDONLY | O_DIRECTORY));
  return range_.keep(directory.get(), id);
}

Result<IdMap> IdMap::create(IdMapKind kind, const std::string& runtime_directory, const bundle::User& workload,
                            const WantedIds& wanted) {
  IdMap map;
  map.kind_ = kind;
  if (kind == IdMapKind::own_range) {
    const Fd directory = TRY(files::open(runtime_directory, O_RDONLY | O_DIRECTORY));
    map.range_ = TRY(UidRange::create(directory.get()));
    map.uids_ = whole(map.range_.first(), wanted.uids);
    map.gids_ = whole(map.range_.first(), wanted.gids);
  } else if (kind == IdMapKind::subordinate) {
    const auto uids = subordinate_range(kSubuid, "/proc/self/uid_map");
    const auto gids = subordinate_range(kSubgid, "/proc/self/gid_map");
    if (!uids || !gids)
      return fail(Fault::unavailable, "no range of ids in /etc/subuid and /etc/subgid", "usermod --add-subuids, --add-subgids");
    map.uids_ = around(workload.uid, ::geteuid(), uids->first, uids->count, far_ids(wanted.uids));
    map.gids_ = around(workload.gid, ::getegid(), gids->first, gids->count, far_ids(wanted.gids));
    for (const uint32_t gid : workload.additional_gids)
      if (map.host_gid(gid) == kUnmapped)
        return fail(Fault::refused, "group " + std::to_string(gid) + " lies beyond this user's range in /etc/subgid",
                    "a smaller group id, or a longer range");
  } else {
    map.uids_ = {{workload.uid, ::geteuid(), 1}};
    map.gids_ = {{workload.gid, ::getegid(), 1}};
  }
  return map;
}

std::vector<uint32_t> IdMap::far_ids(std::vector<uint32_t> wanted) {
  std::erase_if(wanted, [](uint32_t id) { return id < UidRange::kSize; });
  std::ranges::sort(wanted);
  wanted.erase(std::ranges::unique(wanted).begin(), wanted.end());
  return wanted;
}

std::vector<bundle::IdMapping> IdMap::whole(uint32_t first, const std::vector<uint32_t>& wanted) {
  constexpr uint32_t kNobody = 65534;
  const std::vector<uint32_t> far = far_ids(wanted);
  if (far.empty()) return {{0, first, UidRange::kSize}};
  const auto count = static_cast<uint32_t>(far.size());
  uint32_t end = kNobody;  // of the ids that give way
  std::vector<uint32_t> near = wanted;
  std::ranges::sort(near, std::greater());
  for (const uint32_t id : near)
    if (id < end && id + count >= end) end = id;
  std::vector<bundle::IdMapping> map = {{0, first, end - count}, {end, first + end, UidRange::kSize - end}};
  for (uint32_t i = 0; i < count; ++i) map.push_back({far[i], first + end - count + i, 1});
  return map;
}

std::vector<bundle::IdMapping> IdMap::around(uint32_t own, uint32_t caller, uint32_t first, uint32_t count,
                                             const std::vector<uint32_t>& far) {
  std::vector<bundle::IdMapping> map;
  for (const uint32_t id : far)
    if (id != own && count > 0) map.push_back({id, first + --count, 1});
  const uint32_t below = std::min(own, count);
  if (below > 0) map.push_back({0, first, below});
  map.push_back({own, caller, 1});
  if (count > below && own + 1 < UidRange::kSize)
    map.push_back({own + 1, first + below, std::min(count - below, UidRange::kSize - 1 - own)});
  return map;
}

IdMap IdMap::of_engine(std::vector<bundle::IdMapping> uids, std::vector<bundle::IdMapping> gids) {
  IdMap map;
  map.kind_ = uids.empty() && gids.empty() ? IdMapKind::none : IdMapKind::given;
  map.uids_ = std::move(uids);
  map.gids_ = std::move(gids);
  return map;
}

Result<> IdMap::write(int pid) const {
  if (kind_ == IdMapKind::none) return {};
  const std::string base = "/proc/" + std::to_string(pid) + "/";
  if (kind_ == IdMapKind::subordinate) {
    TRY(run_helper("newuidmap", pid, uids_));
    return run_helper("newgidmap", pid, gids_);
  }
  // A single gid may be mapped only after setgroups(2) is given up (user_namespaces(7), since Linux 3.19).
  if (kind_ == IdMapKind::single) TRY(files::write_existing(AT_FDCWD, base + "setgroups", "deny"));
  TRY(files::write_existing(AT_FDCWD, base + "uid_map", map_text(uids_)));
  return files::write_existing(AT_FDCWD, base + "gid_map", map_text(gids_));
}

Result<> IdMap::run_helper(const char* name, int pid, const std::vector<bundle::IdMapping>& map) const {
  Command command;
  command.program = find_helper(name);
  command.arguments.push_back(std::to_string(pid));
  for (const bundle::IdMapping& m : map)
    for (const uint32_t value : {m.container_id, m.host_id, m.size}) command.arguments.push_back(std::to_string(value));
  const CommandOutcome outcome = TRY_WITH(run_command(command), name);
  if (outcome.exit_code == 0) return {};
  return fail(Fault::unavailable, std::string(name) + " refused the range: " + outcome.err,
              "compare /etc/subuid and /etc/subgid with `id`: newgidmap maps the group of /etc/passwd only");
}

uint32_t IdMap::host_id(const std::vector<bundle::IdMapping>& map, uint32_t inner) {
  for (const bundle::IdMapping& m : map)
    if (inner >= m.container_id && inner - m.container_id < m.size) return m.host_id + (inner - m.container_id);
  return map.empty() ? inner : kUnmapped;  // without a user namespace there is no map
}

}  // namespace bailey::native
